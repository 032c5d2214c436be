// What finds peers for the torrents of a session, where a part of it cannot be loaded.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { PeerSources, type PeerSourcesOptions } from "../../../../src/client/sources/peer-sources.js";
import type { SearchingTorrent } from "../../../../src/client/torrent/peer-source.js";
import { parseMagnet, type TrackerStatus } from "../../../../src/index.js";

const MAGNET = parseMagnet(`magnet:?xt=urn:btih:${"5".repeat(40)}&tr=http://127.0.0.1:1/announce`);

function makeSources(options: Partial<PeerSourcesOptions>): PeerSources {
  return new PeerSources({
    ground: SYSTEM_GROUND,
    peerId: new Uint8Array(20),
    datagrams: () => assert.fail("nobody asked for datagrams"),
    ports: () => ({ v4: 6881, v6: undefined }),
    sourceFor: () => undefined,
    trackers: true,
    localPeers: false,
    portMapping: false,
    gateway: undefined,
    warn: () => {},
    portMapped: () => {},
    announcePort: undefined,
    announceIp: undefined,
    dht: undefined,
    ...options,
  });
}

describe("PeerSources", { timeout: 60_000 }, () => {
  it("tells of trackers that what asks them cannot be loaded, tries again, and is closed all the same", async () => {
    let tries = 0;
    const sources = makeSources({
      datagrams: () => {
        tries++;
        throw new Error("EMFILE: too many open files");
      },
    });
    let told: (status: TrackerStatus) => void = () => {};
    const first = new Promise<TrackerStatus>((resolve) => {
      told = resolve;
    });
    const torrent = {
      infoHash: MAGNET.infoHash,
      trackers: undefined,
      webSeeds: false,
      wantsBlocks: true,
      isPrivate: false,
      isPartialSeed: false,
      peerCount: 0,
      bytesLeft: undefined,
      keepsTotalsIn: undefined,
      counters: () => ({ payloadBytes: 0, sentPayloadBytes: 0 }),
      tellTracker: (status: TrackerStatus) => told(status),
      bring: () => {},
      warn: () => {},
    } as unknown as SearchingTorrent;
    const finder = sources.find(torrent, MAGNET);
    finder.start();
    const { state, error } = await first;
    assert.deepEqual([state, error?.code], ["fails", "TRACKER_UNREACHABLE"]);
    assert.match(error?.message ?? "", /cannot be loaded: EMFILE/);
    await assert.rejects(sources.trackers(), { code: "TRACKER_UNREACHABLE" });
    assert.equal(tries, 2, "there may be a descriptor by now");
    finder.stop();
    await sources.close();
  });
});
