// A session that closes while a tracker is asked: the tracker hears that it left, and hears it last.

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createTorrentFile, parseMetainfo, Session } from "../../../../src/index.js";
import { serveHttp } from "../../../support/http-server.js";
import { makeShared } from "../session/loopback.js";

const TIMEOUT = { timeout: 60_000 };
const ANSWER = "d8:intervali1800e5:peers0:e";

function eventOf(url: string): string | null {
  return new URL(url, "http://localhost").searchParams.get("event");
}

/** A session that seeds, and closes while its first announce waits for an answer. What it asked a tracker that answers `stopped` so. */
async function closeWhileAsked(
  t: Parameters<typeof serveHttp>[0],
  answerStopped: (response: ServerResponse, times: number) => void,
): Promise<(string | null)[]> {
  let held!: (response: ServerResponse) => void;
  const started = new Promise<ServerResponse>((resolve) => {
    held = resolve;
  });
  let times = 0;
  const web = await serveHttp(t, (request, response) => {
    if (eventOf(request.url ?? "") === "started") held(response);
    else answerStopped(response, ++times);
  });
  const { folder } = await makeShared(100_000);
  const file = join(folder, "data.bin");
  const metainfo = parseMetainfo(await createTorrentFile(file, { announce: [`${web.origin}/announce`] }));
  const session = new Session();
  await session.listen({ host: "127.0.0.1", port: 0 });
  await session.add(metainfo, { directory: folder, readOnly: true });
  const response = await started;
  const closed = session.close();
  response.end(ANSWER);
  await closed;
  return web.asked.map(eventOf);
}

describe("a session that closes while its tracker is asked", TIMEOUT, () => {
  it("says that it stops when the answer is there", async (t) => {
    assert.deepEqual(await closeWhileAsked(t, (response) => response.end(ANSWER)), ["started", "stopped"]);
  });

  it("says it over another connection when the tracker has ended the one that was kept", async (t) => {
    const asked = await closeWhileAsked(t, (response, times) => {
      if (times === 1) response.destroy();
      else response.end(ANSWER);
    });
    assert.deepEqual(asked, ["started", "stopped", "stopped"]);
  });
});
