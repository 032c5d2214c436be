// A source of addresses that lies, beside one that does not, over virtual time: whoever names thousands that are not there keeps nobody from
// being found whom another kind of source names.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { PeerOrigin } from "../../src/client/torrent/peer-source.js";
import { torrentCoreOf } from "../../src/client/torrent/torrent.js";
import { createTorrentFile, parseMetainfo, Session } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const WIRE = { delayMs: 20, bytesPerMs: 2000, windowBytes: 65_536 };
const LIES_PER_SECOND = 200;
const LIVE = { host: "198.51.100.2", port: 6881 };
/** In which all is tried that one kind of source alone could name. */
const FOUND_MS_MAX = 30_000;

describe("a source that names addresses without end which are not there", { timeout: 120_000 }, () => {
  const pairs: readonly (readonly [liar: PeerOrigin, honest: PeerOrigin])[] = [
    ["local", "tracker"],
    ["local", "exchange"],
    ["tracker", "local"],
    ["tracker", "dht"],
    ["dht", "exchange"],
    ["exchange", "dht"],
  ];
  for (const [liar, honest] of pairs)
    it(`(${liar}) hides nobody whom another one names (${honest})`, async () => {
      const folder = temporaryFolder(after);
      writeFileSync(join(folder, "data"), bytesOf(5, 200_000));
      const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: 65_536 }));
      const network = new SimulatedNetwork(1);
      network.isSilent = (host) => host.startsWith("203.");
      const seed = new Session({}, network.addMachine(LIVE.host, WIRE));
      await network.until(seed.listen(LIVE), 1000, "a seed listens");
      const seeding = seed.addInBackground(metainfo, { directory: folder, readOnly: true });
      await network.until(seeding.ready, 10_000, "a seed opens");
      const session = new Session({}, network.addMachine("198.51.100.1", WIRE));
      const torrent = session.addInBackground(metainfo, { storage: "memory" });
      await network.until(torrent.ready, 10_000, "a torrent opens");
      const { swarm } = torrentCoreOf(torrent);
      let named = 0;
      const lie = (): void => {
        const lies = Array.from({ length: LIES_PER_SECOND }, () => {
          const number = named++;
          return { host: `203.${number >> 16}.${(number >> 8) & 255}.${number & 255}`, port: 6881 };
        });
        swarm.bring({ origin: liar }, lies);
      };
      for (let second = 0; second < 20; second++) lie();
      swarm.bring({ origin: honest }, [LIVE]);
      const startedMs = network.nowMs;
      let isFound = false;
      torrent.on("peerConnected", () => {
        isFound = true;
      });
      let lastMs = startedMs;
      await network.run(
        () => {
          if (network.nowMs - lastMs >= 1000) {
            lastMs = network.nowMs;
            lie();
          }
          return isFound || network.nowMs - startedMs > 10 * FOUND_MS_MAX;
        },
        11 * FOUND_MS_MAX,
        "the live one is found, or is not",
      );
      const tookMs = network.nowMs - startedMs;
      assert.ok(isFound && tookMs <= FOUND_MS_MAX, `found: ${isFound}, after ${tookMs} ms`);
      for (const each of [session, seed]) await network.until(each.close(), 10_000, "a session closes");
    });
});
