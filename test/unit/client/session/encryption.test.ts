// Encryption between whole sessions: each policy with each, falling back, and what a stranger may take of it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import {
  ENCRYPTION_POLICIES,
  RECEIVE_MODES,
  Session,
  type SessionOptions,
  type Torrent,
} from "../../../../src/index.js";
import { bytesOf } from "../../../support/data.js";
import { closeWhole, drivenSession, makeShared, nowhere, seed } from "./loopback.js";

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
    await once(endless, "close");
    await closeWhole(session);
    dripping.destroy();
  });

  it("makes so many key exchanges between two ticks, and refuses the rest", async () => {
    const shared = await makeShared(100_000);
    const { session, tick } = drivenSession({ limitLoopback: false });
    const { port } = await session.listen({ host: "127.0.0.1", port: 0 });
    await session.add(shared.metainfo, nowhere());
    let [answered, refused] = [0, 0];
    const sockets = Array.from({ length: 300 }, (_, index) => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      let isAnswered = false;
      socket.on("data", () => {
        if (!isAnswered) answered++;
        isAnswered = true;
      });
      socket.on("close", () => {
        if (!isAnswered) refused++;
      });
      socket.write(bytesOf(index + 1, 96));
      return socket;
    });
    while (answered + refused < sockets.length) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([answered, refused], [250, 50]);
    await tick();
    const late = connect(port, "127.0.0.1").on("error", () => {});
    late.write(bytesOf(9, 96));
    await once(late, "data");
    for (const socket of [...sockets, late]) socket.destroy();
    await closeWhole(session);
  });
});
