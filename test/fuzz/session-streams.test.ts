// Streams of a program's own that do what streams may do and should not, with random bytes in them, given to a session: nothing but the
// end of such a peer, whoever behaves is served beside them, and all memory comes home. A failure runs again with
//
//   SEED=<n> RUNS=<n> node --test dist/test/fuzz/session-streams.test.js

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { after, describe, it } from "node:test";
import { HANDSHAKE_BYTES } from "../../src/base/limits.js";
import { encodeHandshake, makePeerId } from "../../src/client/wire/handshake.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { Session } from "../../src/index.js";
import { temporaryFolder } from "../support/data.js";
import { duplexPair } from "../support/duplex-pair.js";
import { makeRandom } from "../support/property.js";
import { closeWhole, makeShared, seed } from "../unit/client/session/loopback.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const STREAMS = Number(process.env["RUNS"] ?? 300);
const BYTES = 1_500_017;
const IDS = Object.values(MessageId);
const CODES = ["EPIPE", "ECONNRESET", "ENOTHING", "constructor", "__proto__", "", undefined];
const LENGTH_MAX = 40;
const CHUNK_MAX = 3000;
const PAUSE_MS_MAX = 4;

type Dice = (sides: number) => number;

/** What the other side of a stream does next. */
class Nasty extends Duplex {
  readonly #dice: Dice;
  readonly #infoHash: Uint8Array;
  #left: number;
  #greets: boolean;
  #isOver = false;
  #isLate = false;

  constructor(dice: Dice, infoHash: Uint8Array) {
    super({
      highWaterMark: 1 + dice(2) * dice(100_000),
      allowHalfOpen: dice(2) === 0,
      emitClose: dice(8) > 0,
    });
    this.#dice = dice;
    this.#infoHash = infoHash;
    this.#left = dice(LENGTH_MAX);
    this.#greets = dice(4) > 0;
    this.on("error", () => {});
  }

  override _read(): void {
    const dice = this.#dice;
    if (dice(3) === 0) setTimeout(() => this.#bring(), dice(PAUSE_MS_MAX));
    else this.#bring();
  }

  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const dice = this.#dice;
    const what = dice(60);
    if (what === 0) return;
    // What it throws in a timer of its own is the program's, and reaches nobody else.
    if (what === 1 && !this.#isLate) throw this.#error();
    if (what === 2) this.destroy();
    if (what === 3) this.destroy(this.#error());
    if (what === 4) this.emit("error", this.#error());
    this.#isLate ||= what < 20;
    if (what < 20) setTimeout(done, dice(PAUSE_MS_MAX));
    else done(what === 20 ? this.#error() : null);
  }

  override _final(done: (error?: Error | null) => void): void {
    const what = this.#dice(8);
    if (what === 0) throw this.#error();
    if (what > 1) done(what === 2 ? this.#error() : null);
    else this.destroy();
  }

  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    this.#isOver = true;
    if (this.#dice(6) === 0) setTimeout(done, this.#dice(PAUSE_MS_MAX));
    else done();
  }

  #bring(): void {
    if (this.#isOver) return;
    const dice = this.#dice;
    if (this.#left-- <= 0) {
      this.#isOver = true;
      const what = dice(4);
      if (what === 0) this.push(null);
      else if (what === 1) this.destroy();
      else if (what === 2) this.destroy(this.#error());
      return;
    }
    this.push(this.#chunk());
    if (dice(40) === 0) this.emit("readable");
    if (dice(40) === 0) this.emit("drain");
    if (dice(60) === 0) this.emit("end");
    if (dice(60) === 0) this.end();
    if (dice(200) === 0) this.setEncoding("latin1");
  }

  #chunk(): Buffer {
    const dice = this.#dice;
    if (this.#greets) {
      this.#greets = false;
      const bytes = Buffer.alloc(HANDSHAKE_BYTES);
      encodeHandshake(bytes, 0, { infoHash: this.#infoHash, peerId: makePeerId() });
      return dice(10) === 0 ? bytes.subarray(0, dice(bytes.length)) : bytes;
    }
    const random = Buffer.from(Array.from({ length: dice(CHUNK_MAX) }, () => dice(256)));
    if (dice(5) === 0) return random;
    const length = [1, 5, 13, 17, random.length + 1][dice(5)] ?? 1;
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length);
    head[4] = IDS[dice(IDS.length)] ?? 0;
    return Buffer.concat([head, random.subarray(0, length - 1)]);
  }

  #error(): Error {
    const code = CODES[this.#dice(CODES.length)];
    const errno = [-32, 0, 32, Number.NaN, -0.5, Number.NEGATIVE_INFINITY][this.#dice(12)];
    return Object.assign(new Error("as it goes"), { code, errno });
  }
}

describe(`streams that do what they should not (SEED=${SEED})`, { timeout: 180_000 }, () => {
  it("end alone: the session serves and downloads beside them, and all memory comes home", async () => {
    const random = makeRandom(SEED);
    const dice: Dice = (sides) => Math.floor(random() * sides);
    const shared = await makeShared(BYTES);
    const seeder = await seed(shared, { encryption: "enabled" });
    const session = new Session({ encryption: "enabled" });
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory });
    for (let made = 0; made < STREAMS; made++) {
      const nasty = new Nasty(dice, shared.metainfo.infoHash);
      const what = dice(3);
      if (what === 0) torrent.addPeer(nasty);
      else (what === 1 ? session : seeder.session).accept(nasty);
      if (dice(10) === 0) nasty.destroy();
      if (dice(4) === 0) await new Promise((resolve) => setTimeout(resolve, dice(PAUSE_MS_MAX)));
    }
    const [near, far] = duplexPair();
    seeder.session.accept(far);
    torrent.addPeer(near);
    await torrent.done;
    assert.ok(readFileSync(join(directory, "data.bin")).equals(shared.data), "all bytes are right");
    await closeWhole(session);
    await closeWhole(seeder.session);
  });
});
