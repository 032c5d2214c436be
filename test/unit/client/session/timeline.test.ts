// What a session writes for Perfetto: whole JSON of trace events, with the loop, the other threads and the peers in it.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { Session } from "../../../../src/index.js";
import { temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, seed } from "./loopback.js";

interface TraceEvent {
  readonly ph?: string;
  readonly name: string;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly id?: number;
  readonly args: Record<string, unknown>;
}

const LENGTH = 1_000_000;

describe("traceFile", { timeout: 90_000 }, () => {
  it("has turns, receives, digests and writes, and a track for each peer", async () => {
    const shared = await makeShared(LENGTH);
    const path = join(temporaryFolder(after), "trace.json");
    const seeder = await seed(shared);
    const session = new Session({ traceFile: path });
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    await torrent.done;
    const { receivedBytes } = session.counters();
    await closeWhole(session);
    await closeWhole(seeder.session);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const events = (JSON.parse(readFileSync(path, "utf8")) as TraceEvent[]).filter(
      ({ ph }) => ph !== undefined,
    );
    const named = (name: string): TraceEvent[] => events.filter((event) => event.name === name);
    const tracks = new Map(named("thread_name").map(({ tid, args }) => [args["name"], tid]));
    const ofPeer = tracks.get(`127.0.0.1:${seeder.address.port}`);
    assert.ok(ofPeer !== undefined, [...tracks.keys()].join());
    assert.ok(named("turn").length > 0);
    for (const { tid, dur } of named("turn")) assert.ok(tid === tracks.get("loop") && Number(dur) >= 0);
    const received = named("receive")
      .filter(({ tid }) => tid === ofPeer)
      .reduce((sum, { args }) => sum + Math.max(0, Number(args["bytes"])), 0);
    assert.equal(received, receivedBytes, "every receive is there");
    assert.ok(named("send").some(({ tid }) => tid === ofPeer));
    assert.ok(named("state").some(({ tid, args }) => tid === ofPeer && args["state"] === "open"));
    const ofJobs = (ph: string, name: string): number =>
      events
        .filter((event) => event.ph === ph && event.name === name)
        .reduce((sum, { args }) => sum + Number(args["bytes"] ?? args["result"]), 0);
    for (const job of ["write", "digest"]) {
      assert.ok(ofJobs("b", job) >= LENGTH, job);
      assert.equal(ofJobs("e", job), ofJobs("b", job), `each ${job} has its end, with what it did`);
    }
    for (let index = 1; index < events.length; index++) assert.ok(entryOf(events, index).tid > 0);
  });

  it("is refused where there is such a file already, and nothing is left open", async () => {
    const path = join(temporaryFolder(after), "trace.json");
    const session = new Session({ traceFile: path });
    assert.throws(() => new Session({ traceFile: path }), { code: "USAGE_OPTION" });
    assert.throws(() => new Session({ traceFile: `${path}.other`, record: path }), { code: "USAGE_OPTION" });
    await closeWhole(session);
    JSON.parse(readFileSync(path, "utf8"));
  });

  it("costs nothing where nobody asked for it: streams and engine are what they are without", async () => {
    const session = new Session();
    const { engine } = sessionCoreOf(session).reactor;
    assert.equal(Object.hasOwn(engine, "submit"), false);
    await closeWhole(session);
  });
});
