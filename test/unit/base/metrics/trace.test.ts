// Traces: off unless asked for, to a function or to a file, and harmless where the file takes no more.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { makeTraceSink, type TraceRecord } from "../../../../src/base/metrics/trace.js";
import { temporaryFolder } from "../../../support/data.js";
import { systemError, withFs } from "../../../support/full-disk.js";
import { entryOf, required } from "../../../support/required.js";
import { WiredPeer } from "../../client/peer/wired-peer.js";

const VARIABLE = "SCATTERWIRE_TRACE";
const before = process.env[VARIABLE];

describe("tracing", () => {
  afterEach(() => {
    if (before === undefined) delete process.env[VARIABLE];
    else process.env[VARIABLE] = before;
  });

  it("is off unless it is asked for", () => {
    for (const setting of [undefined, "", "0"]) {
      if (setting === undefined) delete process.env[VARIABLE];
      else process.env[VARIABLE] = setting;
      assert.equal(makeTraceSink(undefined, SYSTEM_GROUND), undefined);
    }
  });

  it("gives a function each record: when, who, what", () => {
    const records: TraceRecord[] = [];
    const sink = required(
      makeTraceSink((record) => records.push(record), SYSTEM_GROUND),
      "the sink",
    );
    sink("10.0.0.1:80", "state", { state: "open" });
    const [{ timeMs, ...rest } = { timeMs: 0 }] = records;
    assert.deepEqual(rest, { peer: "10.0.0.1:80", event: "state", state: "open" });
    assert.ok(timeMs > 0);
  });

  it("appends JSON lines to a file that the environment names", () => {
    const file = join(temporaryFolder(after), "trace.jsonl");
    process.env[VARIABLE] = file;
    const sink = required(makeTraceSink(undefined, SYSTEM_GROUND), "the sink");
    sink("a:1", "message", { id: 4, length: 5 });
    sink("b:2", "state", { state: "closed" });
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    const events = lines.map((line) => (JSON.parse(line) as TraceRecord).event);
    assert.deepEqual(events, ["message", "state"]);
  });

  it("ends with a warning, and throws nothing into the engine, where its file takes no more", async () => {
    process.env[VARIABLE] = "/dev/full";
    const sink = required(makeTraceSink(undefined, SYSTEM_GROUND), "the sink");
    const warned = once(process, "warning");
    sink("a:1", "state", {});
    sink("a:1", "state", {});
    const [warning] = await warned;
    assert.match(String(warning), /SCATTERWIRE_TRACE ends: .*ENOSPC/);
  });

  it("leaves no empty file behind where the disk is full, and one that was there stays", async () => {
    const folder = temporaryFolder(after);
    for (const isThere of [false, true]) {
      const file = join(folder, `trace-${isThere}.jsonl`);
      if (isThere) writeFileSync(file, "");
      process.env[VARIABLE] = file;
      const sink = required(makeTraceSink(undefined, SYSTEM_GROUND), "the sink");
      const refuse = (): never => {
        // As the system does: the file is made, and nothing fits in it.
        writeFileSync(file, "");
        throw systemError("ENOSPC");
      };
      await withFs(
        "appendFileSync",
        () => refuse,
        async () => sink("a:1", "state", {}),
      );
      assert.equal(existsSync(file), isThere);
    }
  });

  it("shows a connection's way through its states, and why it ended", () => {
    const seen: string[] = [];
    const wired = new WiredPeer({
      trace: (peer, event, details) => void seen.push(`${peer} ${event} ${JSON.stringify(details)}`),
    });
    wired.peer.connected();
    const bytes = wired.handshake();
    bytes[1] = entryOf(bytes, 1) ^ 1;
    wired.feed(bytes);
    assert.deepEqual(seen.slice(0, 1), ['127.0.0.9:4000 state {"state":"handshaking"}']);
    assert.match(entryOf(seen, 1), /"state":"closed".*"code":"PEER_PROTOCOL_NAME"/);
  });
});
