// Peers that send bad blocks among good ones, over real sockets: they are banned, the honest are not, and the bytes are right.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { MIB } from "../../../../src/base/limits.js";
import { type BlockLease, Session, type Torrent, type TorrentOptions } from "../../../../src/index.js";
import { temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, type Shared, seed } from "./loopback.js";
import { Puppet, type PuppetOptions } from "./puppet.js";

const TIMEOUT = { timeout: 120_000 };

/** One bad block of every piece; the rest of it is refused. */
function oneBadBlockEach(): PuppetOptions {
  const spoiled = new Set<number>();
  return {
    onRequest: (request, puppet) => {
      if (spoiled.has(request.piece)) puppet.reject(request);
      else {
        spoiled.add(request.piece);
        puppet.sendWrongBlock(request);
      }
    },
  };
}

function bansOf(torrent: Torrent): number[] {
  const banned: number[] = [];
  torrent.on("peerBanned", ({ port }) => banned.push(port));
  return banned;
}

/** Downloads from an honest seed and the puppets; returns who was banned. */
async function download(
  shared: Shared,
  options: TorrentOptions,
  puppets: readonly PuppetOptions[],
  honestCount = 1,
): Promise<{ banned: number[]; liars: Puppet[]; failures: number; session: Session }> {
  const directory = temporaryFolder(after);
  const honest = await Promise.all(Array.from({ length: honestCount }, () => seed(shared)));
  const liars = await Promise.all(puppets.map((each) => Puppet.make(shared, each)));
  const session = new Session({ requestTimeoutMs: 3000 });
  const torrent = await session.add(shared.metainfo, { directory, ...options });
  const banned = bansOf(torrent);
  let failures = 0;
  torrent.on("pieceFailed", () => failures++);
  for (const { address } of [...liars, ...honest]) torrent.addPeer(address);
  await torrent.done;
  for (const { address } of honest)
    assert.ok(!banned.includes(address.port), "an honest peer is never banned");
  if (options.storage !== "null" && options.storage !== "memory")
    assert.equal(
      Buffer.compare(readFileSync(join(directory, "data.bin")), shared.data),
      0,
      "the bytes are right",
    );
  await closeWhole(session);
  for (const { session: each } of honest) await closeWhole(each);
  for (const liar of liars) liar.close();
  return { banned, liars, failures, session };
}

describe("A poisoner that sends one bad block of each piece and refuses the rest", TIMEOUT, () => {
  for (const storage of ["file", "direct", "mapped", "memory", "null"] as const) {
    for (const [pieceLength, pieces] of [
      [1 * MIB, 24],
      [4 * MIB, 6],
    ] as const) {
      it(`${pieces} pieces of ${pieceLength / MIB} MiB, storage ${storage}: is found out, the seed never`, async () => {
        const shared = await makeShared(pieces * pieceLength - 5000, pieceLength);
        const { banned, liars, failures } = await download(shared, { storage }, [oneBadBlockEach()]);
        // Storage that keeps nothing cannot say which blocks the first failed piece had.
        if (storage !== "null") assert.deepEqual(banned, [entryOf(liars, 0).address.port]);
        assert.ok(failures <= 8, `${failures} failures`);
      });
    }
  }
});

describe("A poisoner where blocks are lent to the program", TIMEOUT, () => {
  for (const storage of ["file", "mapped"] as const) {
    it(`is found out, storage ${storage}`, async () => {
      const shared = await makeShared(12 * MIB, MIB);
      let lent = 0;
      const onBlock = (lease: BlockLease): void => {
        lent += lease.bytes.length;
        lease.release();
      };
      const { banned, liars } = await download(shared, { storage, onBlock }, [oneBadBlockEach()]);
      assert.deepEqual(banned, [entryOf(liars, 0).address.port]);
      assert.equal(lent, 12 * MIB, "each block once, of verified pieces");
    });
  }
});

describe("Liars of several kinds", TIMEOUT, () => {
  it("three at once beside two honest seeds: all that spoiled a piece are banned", async () => {
    const shared = await makeShared(16 * MIB, 512 * 1024);
    const spoil = (share: number): PuppetOptions => {
      let count = 0;
      return {
        onRequest: (request, puppet) => {
          if (++count % share === 0) puppet.sendWrongBlock(request);
          else puppet.sendBlock(request);
        },
      };
    };
    const { banned, liars } = await download(shared, {}, [spoil(40), spoil(7), oneBadBlockEach()], 2);
    const ports = new Set(liars.map(({ address }) => address.port));
    assert.ok(banned.length >= 1 && banned.every((port) => ports.has(port)), `${banned.length} banned`);
  });

  it("one that sends the same blocks first, in the end game: whoever sends them later is not banned for it", async () => {
    const shared = await makeShared(8 * 16_384, 8 * 16_384);
    // Both are asked for the last blocks; the liar is faster.
    const late: PuppetOptions = {
      onRequest: (request, puppet) => void setTimeout(() => puppet.sendBlock(request), 150),
    };
    const liar: PuppetOptions = {
      onRequest: (request, puppet) => {
        if (request.begin >= 4 * 16_384) puppet.sendWrongBlock(request);
        else puppet.reject(request);
      },
    };
    const { banned, liars } = await download(shared, {}, [late, liar], 0);
    assert.deepEqual(banned, [entryOf(liars, 1).address.port]);
  });

  it("one on parole that keeps its piece and brings a block now and then does not keep it for good", async () => {
    const shared = await makeShared(4 * MIB, 512 * 1024);
    let isFirst = true;
    const suspect: PuppetOptions = {
      onRequest: (request, puppet) => {
        // One bad block, so that it is on parole; then a drip.
        if (isFirst) puppet.sendWrongBlock(request);
        else setTimeout(() => puppet.sendBlock(request), 1000);
        isFirst = false;
      },
    };
    const { banned, liars } = await download(shared, {}, [suspect]);
    assert.deepEqual(banned, [entryOf(liars, 0).address.port]);
  });
});
