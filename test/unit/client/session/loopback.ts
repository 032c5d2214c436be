// Sessions on loopback, with a torrent between them: for tests of what a session does as a whole. Ports are picked by
// the system; nothing waits for time to pass.

import assert from "node:assert/strict";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import type { Timer } from "../../../../src/base/ground.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import {
  createTorrentFile,
  type Metainfo,
  type PeerAddress,
  parseMetainfo,
  Session,
  type SessionOptions,
  type Torrent,
  type TorrentOptions,
} from "../../../../src/index.js";
import { systemWorld } from "../../../../src/native/world.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";

const HOST = "127.0.0.1";

export interface Shared {
  readonly folder: string;
  readonly metainfo: Metainfo;
  readonly data: Buffer;
}

/** A folder with data, and its torrent. */
export async function makeShared(length: number, pieceLength = 65_536): Promise<Shared> {
  const folder = temporaryFolder(after);
  const data = bytesOf(9, length);
  writeFileSync(join(folder, "data.bin"), data);
  const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data.bin"), { pieceLength }));
  return { folder, metainfo, data };
}

/** A session that seeds, and where. */
export async function seed(
  shared: Shared,
  options: SessionOptions = {},
): Promise<{ session: Session; torrent: Torrent; address: PeerAddress }> {
  const session = new Session(options);
  const address = await session.listen({ host: HOST, port: 0 });
  const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
  assert.equal(torrent.state, "seeding");
  return { session, torrent, address };
}

/** Options of a download that keeps nothing. */
export function nowhere(options: TorrentOptions = {}): TorrentOptions {
  return { storage: "null", ...options };
}

/** Sockets, pipes apart, that this process has open. */
export function openSockets(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith("socket:") ? [target] : [];
    } catch {
      return [];
    }
  });
}

/** Closes a session and sees that nothing is left of it: no slot, no waiter, no connection. */
export async function closeWhole(session: Session): Promise<void> {
  await session.close();
  assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {}, "all slots are home");
  assert.equal(sessionCoreOf(session).memory.pool.waiterCount, 0);
  assert.equal(session.connectionCount, 0);
  assert.equal(session.torrents.size, 0);
  assert.equal(sessionCoreOf(session).reactor.jobs.inFlight, 0);
}

/** A session whose timer only runs when the returned function is called, once for each call. */
export function drivenSession(options: SessionOptions): { session: Session; tick: () => Promise<void> } {
  let run = (): void => assert.fail("a session has a timer");
  const world = systemWorld();
  const every = (_ms: number, callback: () => void): Timer => {
    run = callback;
    return { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
  };
  const session = new Session(options, { ...world, ground: { ...world.ground, every } });
  const tick = async (): Promise<void> => {
    // Timeouts are of a millisecond: time has to pass, but not much.
    const untilMs = performance.now() + 4;
    while (performance.now() < untilMs) await new Promise((resolve) => setImmediate(resolve));
    run();
  };
  return { session, tick };
}
