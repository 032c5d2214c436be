// Hundreds of peers that misbehave, each in a way of its own, at once: whoever behaves is served, and brings what we miss, and nothing
// is left of the others. What failed here never ended, so that only the end is waited for: how soon a slot is given is a question of
// choke rounds, which test/sim asks in virtual time.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { MISBEHAVIOURS } from "../../bench/load/misbehaviours.js";
import { Program } from "../../bench/processes/program.js";
import { number, object } from "../../bench/processes/shape.js";
import { sessionCoreOf } from "../../src/client/session/session.js";
import {
  createTorrentFile,
  type Metainfo,
  type PeerAddress,
  parseMetainfo,
  Session,
} from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";

const CROWD = fileURLToPath(new URL("../../bench/load/load-crowd.js", import.meta.url));
const BYTES = 16 * 1024 * 1024;
const PEERS = 300;
/** Peers do not begin all at once: by then those that want slots have asked for them. */
const SETTLE_MS = 2000;
/** Wrong blocks put who else sent blocks of a piece under suspicion, which takes its time: sim/crowd.test.ts has those. */
const LIARS = ["lies", "hitsAndRuns", "colludes", "dripsBlocks", "dawdles", "plainDrip", "spoilsOnePiece"];
/** Busy ones: four of these tests at once took a machine of two cores minutes with them. */
const BUSY = ["stormsWithKeys", "padsWithoutEnd", "dripsItsKey", "stopsAfterItsKey"]
  .concat(["callsExtensions", "asksForMetadata", "namesStrangers", "speaksUnknownly"])
  .concat(["allowsEverything", "refusesUnasked", "cancelsUnasked"])
  .concat(["renamesExtensions", "flapsUploadOnly", "fetchesMetadata"])
  .concat(["sendsUnasked", "asksForNonsense", "chokesWithRequests"]);
const KINDS = Object.keys(MISBEHAVIOURS).filter((kind) => !LIARS.includes(kind) && !BUSY.includes(kind));
const SEED = process.env["SEED"] ?? "1";

describe("a crowd", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const data = join(folder, "data.bin");
  const torrent = join(folder, "data.torrent");
  let metainfo: Metainfo;

  before(async () => {
    writeFileSync(data, bytesOf(21, BYTES));
    const file = await createTorrentFile(data, { pieceLength: 65_536 });
    writeFileSync(torrent, file);
    metainfo = parseMetainfo(file);
  });

  const seeding = async (host: string): Promise<{ session: Session; address: PeerAddress }> => {
    const session = new Session();
    const address = await session.listen({ host, port: 0 });
    await session.add(metainfo, { directory: folder, readOnly: true });
    return { session, address };
  };

  /** Does `work` while a crowd is at `address`, all of it, to the end. */
  const beside = async (
    address: PeerAddress,
    kinds: readonly string[],
    work: () => Promise<void>,
  ): Promise<void> => {
    const target = ["--connect", `${address.host}:${address.port}`];
    const dice = ["--connections", String(PEERS), "--seed", SEED];
    const chosen = kinds.flatMap((kind) => ["--kind", kind]);
    const crowd = Program.node(CROWD, [torrent, ...target, ...dice, ...chosen]);
    await crowd.line("event");
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    await work();
    const { connections } = await crowd.finish(object({ connections: number }));
    assert.ok(connections >= PEERS, `again: SEED=${SEED}`);
  };

  const closed = async (session: Session): Promise<void> => {
    await session.close();
    assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {}, "all slots are home");
    assert.equal(session.connectionCount, 0);
  };

  /** A peer that downloads from a session beside a crowd. */
  const upload = async (kinds: readonly string[]): Promise<void> => {
    const { session, address } = await seeding("127.0.0.1");
    const leecher = new Session();
    await beside(address, kinds, async () => {
      const download = await leecher.add(metainfo, { storage: "null", peers: [address] });
      await download.done;
    });
    await closed(leecher);
    await closed(session);
  };

  /** A session that downloads from a peer beside a crowd. */
  const download = async (kinds: readonly string[]): Promise<void> => {
    const seeder = await seeding("127.0.0.2");
    const session = new Session();
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const downloading = await session.add(metainfo, { storage: "memory" });
    await beside(address, kinds, async () => {
      downloading.addPeer(seeder.address);
      await downloading.done;
    });
    await closed(session);
    await closed(seeder.session);
  };

  it(`a peer that behaves is served beside ${PEERS} that do not`, () => upload(KINDS));

  it(`a peer that behaves brings what is missing beside ${PEERS} that do not`, () => download(KINDS));

  it("seeds that stop in the middle of a block hold up nobody else's", () => download(["stopsInABlock"]));
});
