// A session that closes while a tracker is asked: the tracker hears that it left, and hears it last.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createTorrentFile, parseMetainfo, Session } from "../../../../src/index.js";
import { systemWorld } from "../../../../src/native/world.js";
import { serveHttp } from "../../../support/http-server.js";
import { makeShared } from "../session/loopback.js";

const TIMEOUT = { timeout: 60_000 };
const ANSWER = "d8:intervali1800e5:peers0:e";
const OUTSIDE = 40_001;

function fieldOf(url: string, name: string): string | null {
  return new URL(url, "http://localhost").searchParams.get(name);
}

interface Closing {
  readonly session?: Session;
  /** Between the beginning of the end, and the answer to what was asked before. */
  readonly meanwhile?: () => Promise<unknown>;
}

/** A session that seeds, and closes while its first announce waits for an answer. What it asked a tracker that answers `stopped` so. */
async function closeWhileAsked(
  t: TestContext,
  answerStopped: (response: ServerResponse, times: number) => void,
  { session = new Session(), meanwhile = () => Promise.resolve() }: Closing = {},
): Promise<string[]> {
  let held!: (response: ServerResponse) => void;
  const started = new Promise<ServerResponse>((resolve) => {
    held = resolve;
  });
  let times = 0;
  const web = await serveHttp(t, (request, response) => {
    if (fieldOf(request.url ?? "", "event") === "started") held(response);
    else answerStopped(response, ++times);
  });
  const { folder } = await makeShared(100_000);
  const file = join(folder, "data.bin");
  const metainfo = parseMetainfo(await createTorrentFile(file, { announce: [`${web.origin}/announce`] }));
  if (session.listenAddress === undefined) await session.listen({ host: "127.0.0.1", port: 0 });
  await session.add(metainfo, { directory: folder, readOnly: true });
  const response = await started;
  const closed = session.close();
  await meanwhile();
  response.end(ANSWER);
  await closed;
  return web.asked;
}

const eventsOf = (asked: readonly string[]): (string | null)[] => asked.map((url) => fieldOf(url, "event"));

describe("a session that closes while its tracker is asked", TIMEOUT, () => {
  it("says that it stops when the answer is there", async (t) => {
    const asked = await closeWhileAsked(t, (response) => response.end(ANSWER));
    assert.deepEqual(eventsOf(asked), ["started", "stopped"]);
  });

  it("says it over another connection when the tracker has ended the one that was kept", async (t) => {
    const asked = await closeWhileAsked(t, (response, times) => {
      if (times === 1) response.destroy();
      else response.end(ANSWER);
    });
    assert.deepEqual(eventsOf(asked), ["started", "stopped", "stopped"]);
  });

  it("says it with the port that it was known by, though the router has that back by then", async (t) => {
    const router = createSocket("udp4");
    t.after(() => router.close());
    const givenBack = new Promise<void>((resolve) => {
      // PCP: each request is granted, and the port outside is another one than that inside.
      router.on("message", (request, from) => {
        const answer = Buffer.from(request);
        answer[1] = 129;
        answer.writeUInt16BE(OUTSIDE, 42);
        router.send(answer, from.port, from.address);
        if (request.readUInt32BE(4) === 0) resolve();
      });
    });
    router.bind(0, "127.0.0.1");
    await once(router, "listening");
    const gateway = () => ({ host: "127.0.0.1", port: router.address().port });
    const session = new Session({ portMapping: true }, { ...systemWorld(), gateway });
    const mapped = once(session, "portMapped");
    await session.listen({ host: "127.0.0.1", port: 0 });
    await mapped;
    const meanwhile = (): Promise<void> => givenBack;
    const asked = await closeWhileAsked(t, (response) => response.end(ANSWER), { session, meanwhile });
    assert.deepEqual(
      asked.map((url) => [fieldOf(url, "event"), fieldOf(url, "port")]),
      [
        ["started", `${OUTSIDE}`],
        ["stopped", `${OUTSIDE}`],
      ],
    );
  });
});
