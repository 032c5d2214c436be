// Files that another program cuts short while they are received into, or sent from: the torrent says so, no peer is blamed, and
// the process goes on.

import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { MIB } from "../../../../src/base/limits.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import {
  type Metainfo,
  type PeerAddress,
  parseMetainfo,
  Session,
  StorageError,
} from "../../../../src/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { closeWhole, makeShared } from "./loopback.js";
import { Puppet } from "./puppet.js";
import { RawPeer } from "./raw-peer.js";

const TIMEOUT = { timeout: 60_000 };
const LENGTH = 4 * MIB;

/** Asks for the first block of a piece, as a peer of its own: the answer, or undefined if the connection ended instead. */
async function firstBlock(
  address: PeerAddress,
  metainfo: Metainfo,
  piece: number,
): Promise<{ id: number; body: Buffer } | undefined> {
  const peer = await RawPeer.join(address, metainfo, { fast: true });
  peer.send(Buffer.from([0, 0, 0, 1, MessageId.interested]));
  for (let message = await peer.next(); message !== undefined; message = await peer.next()) {
    if (message.id === MessageId.unchoke) {
      const request = Buffer.alloc(17);
      request.writeUInt32BE(13, 0);
      request[4] = MessageId.request;
      request.writeUInt32BE(piece, 5);
      request.writeUInt32BE(16_384, 13);
      peer.send(request);
    }
    if (message.id === MessageId.piece || message.id === MessageId.reject) {
      peer.socket.destroy();
      return message;
    }
  }
  return undefined;
}

describe("A file that is cut short", TIMEOUT, () => {
  it("while blocks are received into its mapping, fails the torrent with a StorageError", async () => {
    const shared = await makeShared(LENGTH, MIB);
    const directory = temporaryFolder(after);
    let cut = false;
    const puppet = await Puppet.make(shared, {
      onRequest: (request, its) => {
        // From the second piece on there is no file any more.
        if (request.piece > 0 && !cut) {
          truncateSync(join(directory, "data.bin"), 0);
          cut = true;
        }
        its.sendBlock(request);
      },
    });
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { directory, storage: "mapped", populate: true });
    torrent.addPeer(puppet.address);
    await assert.rejects(torrent.done, (error) => error instanceof StorageError);
    assert.equal(torrent.state, "failed");
    await closeWhole(session);
  });

  for (const sendMode of ["mapped", "sendfile", "copy"] as const) {
    for (const storage of ["file", "mapped"] as const) {
      it(`while it is sent (${sendMode}, storage ${storage}), is refused and not sent wrong; what is left of it is sent`, async () => {
        const shared = await makeShared(LENGTH, MIB);
        const session = new Session({ sendMode });
        const address = await session.listen({ host: "127.0.0.1", port: 0 });
        const torrent = await session.add(shared.metainfo, {
          directory: shared.folder,
          storage,
          readOnly: storage === "file",
        });
        const warnings: string[] = [];
        torrent.on("warning", (text) => warnings.push(text));
        const ask = (piece: number) => firstBlock(address, shared.metainfo, piece);
        const whole = (piece: number): Buffer => shared.data.subarray(piece * MIB, piece * MIB + 16_384);
        assert.deepEqual((await ask(3))?.body.subarray(8), whole(3));
        truncateSync(join(shared.folder, "data.bin"), 2 * MIB);
        // The first to ask for what is gone may find out in the middle of a block; it alone.
        const first = await ask(3);
        assert.ok(first === undefined || first.id === MessageId.reject);
        for (let again = 0; again < 5; again++) assert.equal((await ask(3))?.id, MessageId.reject);
        const unread = warnings.filter((text) => text.startsWith("cannot read to send"));
        assert.ok(
          unread.length <= 1,
          `peers that ask again and again fill no log: ${unread.length} warnings`,
        );
        assert.deepEqual((await ask(1))?.body.subarray(8), whole(1));
        assert.equal(torrent.state, "seeding");
        assert.ok(warnings.length > 0);
        await closeWhole(session);
      });
    }
  }
});

describe("A listener that hears of a file that was cut short", TIMEOUT, () => {
  it("may throw: the connection is closed all the same, and the next is served", async () => {
    const shared = await makeShared(LENGTH, MIB);
    const session = new Session({ sendMode: "mapped" });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const mine = new Error("thrown by a listener");
    torrent.on("warning", () => {
      throw mine;
    });
    const ask = (piece: number) => firstBlock(address, shared.metainfo, piece);
    await ask(3);
    truncateSync(join(shared.folder, "data.bin"), 2 * MIB);
    const errors = await collectUncaught(async () => {
      await ask(3);
      assert.equal((await ask(1))?.body.subarray(8).equals(shared.data.subarray(MIB, MIB + 16_384)), true);
    });
    assert.ok(errors.length > 0);
    assert.ok(errors.every((error) => error === mine));
    await closeWhole(session);
  });
});

describe("A file of more than a TiB", TIMEOUT, () => {
  it("is sent where it cannot be mapped", async () => {
    const folder = temporaryFolder(after);
    const length = 2 ** 40 + 2 ** 26;
    const data = bytesOf(4, 16_384);
    writeFileSync(join(folder, "long"), data);
    truncateSync(join(folder, "long"), length);
    const pieceCount = length / 2 ** 26;
    const info = [
      "d6:lengthi",
      String(length),
      "e4:name4:long12:piece lengthi67108864e6:pieces",
      String(20 * pieceCount),
      ":",
    ].join("");
    const torrentFile = Buffer.concat([
      Buffer.from(`d4:info${info}`, "latin1"),
      Buffer.alloc(20 * pieceCount),
      Buffer.from("ee"),
    ]);
    const metainfo = parseMetainfo(torrentFile);
    const session = new Session({ sendMode: "mapped" });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    await session.add(metainfo, { directory: folder, readOnly: true, assumeComplete: true });
    assert.deepEqual((await firstBlock(address, metainfo, 0))?.body.subarray(8), data);
    assert.deepEqual(
      (await firstBlock(address, metainfo, pieceCount - 1))?.body.subarray(8),
      Buffer.alloc(16_384),
    );
    await closeWhole(session);
  });
});
