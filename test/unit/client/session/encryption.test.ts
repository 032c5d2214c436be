// Encryption between whole sessions: each policy with each, falling back, and what a stranger may take of it.

import assert from "node:assert/strict";
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import { CryptoMethod } from "../../../../src/client/stream/encryption-handshake.js";
import { KEY_BYTES, KeyExchange } from "../../../../src/client/stream/key-exchange.js";
import { openCipher, transform } from "../../../../src/client/stream/rc4.js";
import { encodePieceHeader } from "../../../../src/client/wire/encode.js";
import {
  ENCRYPTION_POLICIES,
  type PeerAddress,
  RECEIVE_MODES,
  Session,
  type SessionOptions,
  type Torrent,
} from "../../../../src/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { closeWhole, drivenSession, makeShared, nowhere, seed } from "./loopback.js";
import { handshake, knock, turns } from "./raw-peers.js";

/** Downloads from a seed. Resolves to whether it was encrypted, for each connection that came to stand. */
async function meet(seeding: SessionOptions, downloading: SessionOptions): Promise<boolean[]> {
  const shared = await makeShared(600_000);
  const { session: seeder, address } = await seed(shared, seeding);
  const session = new Session(downloading);
  const torrent = await session.add(shared.metainfo, { storage: "memory" });
  const encrypted: boolean[] = [];
  torrent.on("peerConnected", (peer) => encrypted.push(peer.encrypted));
  let failures = 0;
  const refused = new Promise<void>((resolve) => {
    torrent.on("peerDisconnected", () => {
      if (++failures === 2) resolve();
    });
  });
  torrent.addPeer(address);
  await Promise.race([torrent.done, refused]);
  if (encrypted.length > 0) await checkBytes(torrent, shared.data);
  await Promise.all([closeWhole(session), closeWhole(seeder)]);
  return encrypted;
}

async function checkBytes(torrent: Torrent, data: Buffer): Promise<void> {
  for (let begin = 0; begin < 65_536; begin += 16_384) {
    using lease = await torrent.read(3, begin, 16_384);
    assert.ok(data.subarray(3 * 65_536 + begin, 3 * 65_536 + begin + 16_384).equals(lease.bytes));
  }
}

/** Connects through an encryption handshake that brings `first` along, which others do with their first message only. */
async function knockWith(
  to: PeerAddress,
  infoHash: Uint8Array,
  first: Uint8Array,
  method: number,
): Promise<Socket> {
  const socket = await knock(to);
  const keys = new KeyExchange(randomFillSync);
  socket.write(keys.publicKey);
  let theirs = Buffer.alloc(0);
  while (theirs.length < KEY_BYTES)
    theirs = Buffer.concat([theirs, (await once(socket, "data"))[0] as Buffer]);
  const secret = keys.secretWith(theirs.subarray(0, KEY_BYTES));
  assert.ok(secret !== undefined);
  const hash = (name: string, ...parts: Uint8Array[]): Buffer =>
    createHash("sha1")
      .update(Buffer.concat([Buffer.from(name), ...parts]))
      .digest();
  const mask = hash("req3", secret);
  const request = Buffer.alloc(16 + first.length);
  request.writeUInt32BE(method, 8);
  request.writeUInt16BE(first.length, 14);
  request.set(first, 16);
  transform(openCipher(hash("keyA", secret, infoHash)), request);
  const named = hash("req2", infoHash).map((byte, index) => byte ^ (mask[index] ?? 0));
  socket.resume().write(Buffer.concat([hash("req1", secret), named, request]));
  return socket;
}

describe("encryption between sessions", { timeout: 120_000 }, () => {
  for (const theirs of ENCRYPTION_POLICIES)
    for (const ours of ENCRYPTION_POLICIES) {
      it(`${ours} here, ${theirs} there`, async () => {
        const isOpposite = [ours, theirs].includes("disabled") && [ours, theirs].includes("required");
        const expected = isOpposite ? [] : [ours === "required" || theirs === "required"];
        assert.deepEqual(
          await meet({ encryption: theirs }, { encryption: ours, handshakeTimeoutMs: 300 }),
          expected,
        );
      });
    }

  for (const receiveMode of RECEIVE_MODES)
    it(`receives in mode ${receiveMode}`, async () => {
      const encryption = "required";
      assert.deepEqual(await meet({ encryption, sendMode: "mapped" }, { encryption, receiveMode }), [true]);
    });

  for (const receiveMode of RECEIVE_MODES)
    for (const storage of ["mapped", "file"] as const)
      for (const method of [CryptoMethod.plaintext, CryptoMethod.rc4])
        it(`bears a block that came with the handshake, ${storage}, ${receiveMode}, method ${method}`, async () => {
          const shared = await makeShared(8000);
          const { infoHash } = shared.metainfo;
          const block = Buffer.alloc(13 + shared.data.length);
          encodePieceHeader(block, 0, 0, 0, shared.data.length);
          block.set(shared.data, 13);
          const messages = [Buffer.from([0, 0, 0, 2, 5, 128]), Buffer.from([0, 0, 0, 1, 1]), block];
          const first = Buffer.concat([handshake(infoHash), ...messages]);
          const session = new Session({ receiveMode });
          const address = await session.listen({ host: "127.0.0.1", port: 0 });
          const torrent = await session.add(shared.metainfo, { storage, directory: temporaryFolder(after) });
          const gone = once(torrent, "peerDisconnected");
          const socket = await knockWith(address, infoHash, first, method);
          torrent.done.catch(() => {});
          await Promise.race([torrent.done, gone]);
          // Read message by message it was asked for before it is read; read at once it was not.
          assert.equal(torrent.state, receiveMode === "scatter" ? "seeding" : "downloading");
          if (torrent.state === "seeding") {
            const lease = await torrent.read(0, 0, shared.data.length);
            assert.ok(shared.data.equals(lease.bytes));
            lease.release();
          }
          socket.destroy();
          await closeWhole(session);
        });

  it("lets go of a stranger whose handshake has no end", async () => {
    const shared = await makeShared(100_000);
    const { session, tick } = drivenSession({ handshakeTimeoutMs: 1 });
    const { port } = await session.listen({ host: "127.0.0.1", port: 0 });
    await session.add(shared.metainfo, nowhere());
    const dripping = connect(port, "127.0.0.1")
      .on("error", () => {})
      .resume();
    dripping.write(bytesOf(7, 50));
    let isGone = false;
    dripping.on("close", () => {
      isGone = true;
    });
    while (!isGone) await tick();
    // One that talks without an end is let go of at once.
    const endless = connect(port, "127.0.0.1")
      .on("error", () => {})
      .resume();
    endless.write(bytesOf(8, 2000));
    // Not once(): later lines of Node.js tell that it was reset, since not all that it says was read.
    await new Promise((resolve) => endless.once("close", resolve));
    await closeWhole(session);
    dripping.destroy();
  });

  it("makes no keys for strangers before theirs have come, and has time for its own connections", async () => {
    const shared = await makeShared(100_000);
    const { session: seeder, address: seedAddress } = await seed(shared, { encryption: "required" });
    const { session } = drivenSession({ encryption: "required", limitLoopback: false });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const flood = async (bytes: Uint8Array): Promise<Socket[]> => {
      const sockets = await Promise.all(Array.from({ length: 300 }, () => knock(address)));
      for (const socket of sockets) socket.write(bytes);
      return sockets;
    };
    const dripping = await flood(Uint8Array.of(1));
    await turns(50);
    const whole = await knock(address);
    whole.write(bytesOf(9, KEY_BYTES));
    const isAnswered = await new Promise<boolean>((resolve) => {
      whole.once("data", () => resolve(true));
      whole.once("close", () => resolve(false));
    });
    assert.ok(isAnswered, "one whole key is answered");
    for (const socket of dripping) socket.destroy();
    const whatIsLeft = await flood(bytesOf(3, KEY_BYTES));
    const met = Promise.race([
      once(torrent, "peerConnected").then(() => true),
      once(torrent, "peerDisconnected").then(() => false),
    ]);
    torrent.addPeer(seedAddress);
    assert.ok(await met, "a connection of our own");
    for (const socket of [...whatIsLeft, whole]) socket.destroy();
    await Promise.all([closeWhole(session), closeWhole(seeder)]);
  });

  it("makes keys with one network after the other, however many come from one", async () => {
    const shared = await makeShared(100_000);
    const { session } = drivenSession({ limitLoopback: false });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    await session.add(shared.metainfo, nowhere());
    const [many, one] = await Promise.all([
      Promise.all(Array.from({ length: 300 }, () => knock(address, "127.0.0.9"))),
      knock(address, "127.0.0.1"),
    ]);
    const answers: Socket[] = [];
    for (const socket of [...many, one]) socket.once("data", () => answers.push(socket));
    many.forEach((socket, index) => {
      socket.write(bytesOf(index + 1, KEY_BYTES));
    });
    one.write(bytesOf(9, KEY_BYTES));
    const answered = await Promise.race([
      once(one, "data").then(() => answers.length),
      once(one, "close").then(() => "refused"),
    ]);
    // They may have been read in several turns of the loop; but nobody waits for a whole crowd.
    assert.ok(Number(answered) < 150, `after ${answered} of the others`);
    while (answers.length <= many.length) await turns(5);
    for (const socket of [...many, one]) socket.destroy();
    await closeWhole(session);
  });
});
