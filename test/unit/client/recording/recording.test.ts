// Connections that are recorded, and what a replay makes of the recording: the same blocks in each mode, the same each time, and clear errors
// for what is no recording.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import {
  fileHeader,
  type RecordingSource,
  RecordKind,
  readRecords,
  textRecord,
} from "../../../../src/client/recording/format.js";
import { replayFrom } from "../../../../src/client/recording/replay.js";
import {
  RECEIVE_MODES,
  type ReplayEvent,
  type ReplayResult,
  replayRecording,
  Session,
  type SessionOptions,
  UsageError,
} from "../../../../src/index.js";
import { temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "../session/loopback.js";

const TIMEOUT = { timeout: 400_000 };
const LENGTH = 1_000_000;

const isRecordingError = (error: unknown): boolean =>
  error instanceof UsageError && error.code === "USAGE_RECORDING";

/** A download that is recorded; both ends, if `both`. */
async function record(
  shared: Shared,
  options: SessionOptions = {},
  seederOptions: SessionOptions = {},
): Promise<string> {
  const path = join(temporaryFolder(after), "download.recording");
  const seeder = await seed(shared, { encryption: options.encryption ?? "enabled", ...seederOptions });
  const session = new Session({ ...options, record: path });
  const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
  await torrent.done;
  await closeWhole(session);
  await closeWhole(seeder.session);
  return path;
}

const fromBytes = (bytes: Buffer): RecordingSource => {
  let at = 0;
  return {
    read: async (length) => {
      const part = bytes.subarray(at, at + length);
      at += part.length;
      return part;
    },
  };
};

async function replayed(
  path: string,
  receiveMode: (typeof RECEIVE_MODES)[number],
): Promise<[ReplayResult, ReplayEvent[]]> {
  const events: ReplayEvent[] = [];
  const result = await replayRecording(path, { receiveMode, onEvent: (event) => events.push(event) });
  return [result, events];
}

describe("A recording", TIMEOUT, () => {
  for (const encryption of ["disabled", "required"] as const)
    it(`replays in all modes to the same messages and blocks, with encryption ${encryption}`, async () => {
      const shared = await makeShared(LENGTH);
      const path = await record(shared, { encryption });
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const results = new Map<string, unknown>();
      for (const mode of RECEIVE_MODES) {
        const [{ connections, whole }, events] = await replayed(path, mode);
        assert.equal(whole, true);
        const heard = connections.filter(({ blocks }) => blocks > 0);
        assert.equal(
          heard.reduce((sum, { blockBytes }) => sum + blockBytes, 0),
          LENGTH,
          JSON.stringify(connections),
        );
        for (const { unheardBytes } of connections) assert.equal(unheardBytes, 0);
        results.set(mode, events);
        const [again, eventsAgain] = await replayed(path, mode);
        assert.deepEqual(again, { connections, whole }, "twice the same");
        assert.deepEqual(eventsAgain, events);
      }
      const [first, ...others] = [...results.values()];
      for (const events of others) assert.deepEqual(events, first);
    });

  it("has the bytes that were received into mapped files, and that were sent from them", async () => {
    const shared = await makeShared(LENGTH);
    const folder = temporaryFolder(after);
    const [sent, received] = [join(folder, "sent"), join(folder, "received")];
    const seeder = await seed(shared, { record: sent, sendMode: "mapped", encryption: "disabled" });
    const session = new Session({ record: received, encryption: "disabled" });
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, {
      directory,
      storage: "mapped",
      peers: [seeder.address],
    });
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
    const block = shared.data.subarray(65_536, 65_536 + 16_384);
    assert.ok(readFileSync(received).includes(block.subarray(0, 4000)));
    assert.ok(readFileSync(sent).includes(block.subarray(0, 4000)));
    const [{ connections }] = await replayed(sent, "adaptive");
    for (const { end, unheardBytes } of connections) {
      assert.equal(unheardBytes, 0);
      assert.doesNotMatch(end, /UNREQUESTED|MALFORMED|RANGE/);
    }
  });

  it("ends at its bound, with a warning, and the download goes on", async () => {
    const shared = await makeShared(3_000_000);
    const path = join(temporaryFolder(after), "small.recording");
    const seeder = await seed(shared);
    const session = new Session({ record: path, recordBytesMax: 1024 * 1024 });
    const warnings: string[] = [];
    session.on("warning", (text) => warnings.push(text));
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
    assert.equal(warnings.filter((text) => text.includes("the recording ends")).length, 1, warnings.join());
    assert.ok(statSync(path).size <= 1024 * 1024 + 1000);
    const [{ connections, whole }] = await replayed(path, "speculative");
    assert.equal(whole, true);
    assert.ok(connections.some(({ blocks }) => blocks > 0));
  });

  it("ends where the disk is full, with a warning, and the download goes on", async () => {
    const shared = await makeShared(LENGTH);
    const seeder = await seed(shared);
    // Each write to it fails with ENOSPC. It is there already, so the recorder is handed a way around that.
    const path = join(temporaryFolder(after), "full");
    const { symlinkSync } = await import("node:fs");
    symlinkSync("/dev/full", path);
    assert.throws(() => new Session({ record: path }), { code: "USAGE_OPTION" }, "nothing is overwritten");
    const { Recorder } = await import("../../../../src/client/recording/recorder.js");
    const { Memory } = await import("../../../../src/client/memory/memory.js");
    const told: string[] = [];
    const memory = new Memory(new Uint8Array(2 ** 21));
    const recorder = new Recorder(
      path,
      2 ** 30,
      { memory, entries: new Float64Array(8), nowMs: () => 0, warn: (text) => told.push(text) },
      "w",
    );
    while (recorder.isOpen) await new Promise((resolve) => setImmediate(resolve));
    recorder.established(recorder.opened({ host: "::1", port: 1, incoming: true, receiveMode: "adaptive" }));
    await recorder.close();
    assert.equal(told.length, 1);
    assert.match(entryOf(told, 0), /ENOSPC/);
    await closeWhole(seeder.session);
  });

  it("that is cut anywhere is replayed as far as it goes, and said to be cut", async () => {
    const shared = await makeShared(200_000, 32_768);
    const bytes = readFileSync(await record(shared));
    for (let cut = 16; cut < bytes.length - 1; cut += 1 + Math.trunc(bytes.length / 29)) {
      const result = await replayFrom(fromBytes(bytes.subarray(0, cut)));
      assert.equal(result.whole, false, `cut at ${cut}`);
    }
    for (const cut of [0, 1, 15])
      await assert.rejects(replayFrom(fromBytes(bytes.subarray(0, cut))), isRecordingError);
  });

  it("in which we ask for more than a block at one time is refused", async () => {
    const bytes = readFileSync(await record(await makeShared(200_000, 32_768)));
    // Requests of the first blocks of pieces: length prefix, id, piece, begin, length.
    const prefix = Buffer.of(0, 0, 0, 13, 6);
    let changed = 0;
    for (let at = bytes.indexOf(prefix); at >= 0; at = bytes.indexOf(prefix, at + 1)) {
      if (bytes.readUInt32BE(at + 9) !== 0 || bytes.readUInt32BE(at + 13) !== 16_384) continue;
      bytes.writeUInt32BE(32_768, at + 13);
      changed++;
    }
    assert.ok(changed > 0);
    await assert.rejects(replayFrom(fromBytes(bytes)), isRecordingError);
  });

  it("property: damaged anywhere, it replays or is refused, and nothing else", async () => {
    const shared = await makeShared(200_000, 32_768);
    const bytes = readFileSync(await record(shared));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.constantFrom(...RECEIVE_MODES),
        async (changes, receiveMode) => {
          const damaged = Buffer.from(bytes);
          // Most of it is payload: what is between is what matters.
          for (const [at, byte] of changes) damaged[at % 2 === 0 ? at : at % 2000] = byte;
          try {
            await replayFrom(fromBytes(damaged), { receiveMode });
          } catch (error) {
            if (!isRecordingError(error)) throw error;
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it("of another kind, another version or other files is refused in words", async () => {
    const folder = temporaryFolder(after);
    const path = join(folder, "x");
    await assert.rejects(replayRecording(path), isRecordingError);
    await assert.rejects(replayRecording(folder), isRecordingError);
    writeFileSync(path, "d8:announce3:xyze");
    await assert.rejects(replayRecording(path), { message: /no recording of scatterwire/ });
    const header = fileHeader();
    header.writeUInt16BE(2, 8);
    writeFileSync(path, header);
    await assert.rejects(replayRecording(path), { message: /version 2/ });
    writeFileSync(path, fileHeader());
    appendFileSync(path, textRecord(RecordKind.closed, 7, 0, {}));
    await assert.rejects(replayRecording(path), { message: /connection 7/ });
  });

  it("of a silence of weeks takes no longer than one of minutes", async () => {
    const infoHash = "00".repeat(20);
    const opened = { host: "127.0.0.1", port: 1, incoming: false, receiveMode: "adaptive", infoHash };
    const bytes = Buffer.concat([
      fileHeader(),
      textRecord(RecordKind.torrent, 0, 0, { infoHash, pieceLength: 16_384, totalLength: 16_384 }),
      textRecord(RecordKind.opened, 1, 0, opened),
      textRecord(RecordKind.closed, 1, 2 ** 32 - 1, {}),
    ]);
    const { connections } = await replayFrom(fromBytes(bytes));
    assert.equal(connections.length, 1);
    let count = 0;
    for await (const { timeMs } of readRecords(fromBytes(bytes))) count += timeMs >= 0 ? 1 : 0;
    assert.equal(count, 3);
  });
});
