// The HTTP protocol of trackers as text: what is read from queries, and that what is written is bencode.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import fc from "fast-check";
import {
  announceBody,
  failureBody,
  makeAnnounceQuery,
  makeScrapeQuery,
  readAnnounceQuery,
  readScrapeQuery,
  SCRAPES_MAX,
  scrapeBody,
  scrapeEntry,
} from "../../../../src/tracker/protocol/http.js";
import { EVENT_COMPLETED, EVENT_NONE, EVENT_STOPPED } from "../../../../src/tracker/protocol/udp.js";
import { check } from "../../../support/property.js";
import { required } from "../../../support/required.js";

const HASH = "%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9a";
const HASH_HEX = "123456789abcdef123456789abcdef123456789a";

function hexOf(words: Uint32Array, at = 0): string {
  return Buffer.from(words.buffer, 4 * at, 20).toString("hex");
}

describe("queries of announces", () => {
  it("are read, in any order, with what does not concern us passed over", () => {
    const query = makeAnnounceQuery();
    const text = `left=0&ip=1.2.3.4&peer_id=12345678901234567%ff90&info_hash=${HASH}&uploaded=1&port=6881&numwant=7&event=stopped&compact=0&&=&a`;
    assert.equal(readAnnounceQuery(text, query), undefined);
    assert.equal(hexOf(query.hash), HASH_HEX);
    const { port, seeder, event, numWant, compact } = query;
    assert.deepEqual(
      { port, seeder, event, numWant, compact },
      { port: 6881, seeder: true, event: EVENT_STOPPED, numWant: 7, compact: false },
    );
  });

  it("leave nothing for the next one", () => {
    const query = makeAnnounceQuery();
    readAnnounceQuery(`info_hash=${HASH}&port=1&left=0&numwant=3&event=completed&compact=0`, query);
    assert.equal(readAnnounceQuery(`info_hash=${HASH}&port=2&numwant=-1`, query), undefined);
    const { port, seeder, event, numWant, compact } = query;
    assert.deepEqual(
      { port, seeder, event, numWant, compact },
      { port: 2, seeder: false, event: EVENT_NONE, numWant: -1, compact: true },
    );
  });

  it("are looked through once, however many fields they have that say nothing", (t) => {
    const length = 65_536;
    let looked = 0;
    const indexOf = String.prototype.indexOf;
    t.mock.method(String.prototype, "indexOf", function (this: string, text: string, from = 0) {
      const found = indexOf.call(this, text, from);
      looked += (found < 0 ? this.length : found + 1) - from;
      return found;
    });
    for (const query of [
      "&".repeat(length),
      `${"&".repeat(length)}=`,
      "a=&".repeat(length / 3),
      "=".repeat(length),
    ]) {
      looked = 0;
      assert.equal(readAnnounceQuery(query, makeAnnounceQuery()), "info_hash is missing");
      assert.equal(readScrapeQuery(query, makeScrapeQuery()), "info_hash is missing");
      assert.ok(looked <= 8 * length, `${looked} characters were looked at`);
    }
  });

  it("of what has completed are a seeder's, unless they say that something is left, and unknown events are none", () => {
    const query = makeAnnounceQuery();
    readAnnounceQuery(`info_hash=${HASH}&port=1&event=completed`, query);
    assert.equal(query.event, EVENT_COMPLETED);
    assert.equal(query.seeder, true);
    readAnnounceQuery(`info_hash=${HASH}&port=1&left=5&event=completed`, query);
    assert.equal(query.event, EVENT_COMPLETED);
    assert.equal(query.seeder, false);
    readAnnounceQuery(`info_hash=${HASH}&port=1&left=5&event=paused`, query);
    assert.equal(query.event, EVENT_NONE);
    assert.equal(query.seeder, false);
  });

  for (const [what, text, reason] of [
    ["no hash", "port=1", /missing/],
    ["two hashes", `info_hash=${HASH}&info_hash=${HASH}&port=1`, /one info_hash/],
    ["a short hash", "info_hash=abc&port=1", /20 bytes/],
    ["a long hash", `info_hash=${HASH}x&port=1`, /20 bytes/],
    ["a broken escape", "info_hash=1234567890123456789%1&port=1", /20 bytes/],
    ["an escape that is none", "info_hash=1234567890123456789%g1&port=1", /20 bytes/],
    ["a character that is no byte", "info_hash=1234567890123456789\u0100&port=1", /20 bytes/],
    ["a short peer id", `info_hash=${HASH}&port=1&peer_id=1234567890123456789`, /peer_id is not 20 bytes/],
    ["a long peer id", `info_hash=${HASH}&port=1&peer_id=${"%61".repeat(21)}`, /peer_id is not 20 bytes/],
    ["no port", `info_hash=${HASH}`, /port/],
    ["port 0", `info_hash=${HASH}&port=0`, /port/],
    ["port 65536", `info_hash=${HASH}&port=65536`, /port/],
    ["a port that overflows", `info_hash=${HASH}&port=${"9".repeat(400)}`, /port/],
    ["a port with a sign", `info_hash=${HASH}&port=+1`, /port/],
  ] as const)
    it(`with ${what} are refused`, () => {
      assert.match(readAnnounceQuery(text, makeAnnounceQuery()) ?? "", reason);
    });

  it("of any bytes end in fields that are in range, or in a reason", () => {
    const query = makeAnnounceQuery();
    const part = fc.oneof(
      fc.string(),
      fc.constantFrom("info_hash=", "port=", "left=", "numwant=", "&", "=", "%", HASH, "6881", "compact=0"),
    );
    check(
      fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
        if (readAnnounceQuery(parts.join(""), query) !== undefined) return;
        assert.ok(query.port >= 1 && query.port <= 65_535);
        assert.ok(Number.isSafeInteger(query.numWant) && query.numWant >= -1);
      }),
      500,
    );
  });

  it("have hashes of any bytes, escaped or not", () => {
    const query = makeAnnounceQuery();
    check(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.boolean(), (hash, all) => {
        let text = "";
        for (const byte of hash)
          text +=
            all || byte === 0x25 || byte === 0x26
              ? `%${byte.toString(16).padStart(2, "0")}`
              : String.fromCharCode(byte);
        assert.equal(readAnnounceQuery(`info_hash=${text}&port=1`, query), undefined);
        assert.equal(hexOf(query.hash), Buffer.from(hash).toString("hex"));
      }),
      200,
    );
  });
});

describe("queries of scrapes", () => {
  it("name several torrents, and not too many", () => {
    const query = makeScrapeQuery();
    assert.equal(readScrapeQuery(`info_hash=${HASH}&info_hash=${"a".repeat(20)}`, query), undefined);
    assert.equal(query.count, 2);
    assert.equal(hexOf(query.hashes, 5), "61".repeat(20));
    const many = (count: number): string => new Array(count).fill(`info_hash=${HASH}`).join("&");
    assert.equal(readScrapeQuery(many(SCRAPES_MAX), query), undefined);
    assert.match(readScrapeQuery(many(SCRAPES_MAX + 1), query) ?? "", /too many/);
    assert.match(readScrapeQuery("", query) ?? "", /missing/);
    assert.match(readScrapeQuery("info_hash=a", query) ?? "", /20 bytes/);
  });
});

describe("bodies", () => {
  const decode = (text: string): unknown => bencode.decode(Buffer.from(text, "latin1"));
  const answer = { seeders: 3, leechers: 4, intervalSeconds: 900, intervalSecondsMin: 60 };

  it("of announces are compact, of either family", () => {
    const v4 = Uint8Array.of(1, 2, 3, 4, 0x1a, 0xe1);
    const body = announceBody({ ...answer, peers: v4, family: 4, compact: true });
    assert.deepEqual(decode(body), {
      complete: 3,
      incomplete: 4,
      interval: 900,
      "min interval": 60,
      peers: new Uint8Array(v4),
    });
    const v6 = Uint8Array.from({ length: 18 }, (_, at) => 240 + (at % 16));
    const other = decode(announceBody({ ...answer, peers: v6, family: 6, compact: true })) as {
      peers: Uint8Array;
      peers6: Uint8Array;
    };
    assert.equal(other.peers.length, 0);
    assert.deepEqual(other.peers6, new Uint8Array(v6));
  });

  it("of announces are lists for whoever asks for the old form", () => {
    const peers = Uint8Array.of(1, 2, 3, 4, 0x1a, 0xe1, 9, 8, 7, 6, 0, 80);
    const old = decode(announceBody({ ...answer, peers, family: 4, compact: false })) as {
      peers: { ip: Uint8Array; port: number }[];
    };
    assert.deepEqual(
      old.peers.map(({ ip, port }) => [Buffer.from(ip).toString(), port]),
      [
        ["1.2.3.4", 6881],
        ["9.8.7.6", 80],
      ],
    );
  });

  it("of scrapes have their torrents in order, each once", () => {
    const [a, b] = ["b".repeat(20), "a".repeat(20)] as const;
    const entries = new Map([
      [a, scrapeEntry(a, 1, 2, 3)],
      [b, scrapeEntry(b, 4, 5, 6)],
    ]);
    const body = scrapeBody(entries, 60);
    assert.ok(body.indexOf(b) < body.indexOf(a), "keys are in order");
    assert.deepEqual(decode(body), {
      files: {
        [b]: { complete: 4, downloaded: 5, incomplete: 6 },
        [a]: { complete: 1, downloaded: 2, incomplete: 3 },
      },
      flags: { min_request_interval: 60 },
    });
  });

  it("of failures say why", () => {
    const { "failure reason": reason } = decode(failureBody("not today")) as Record<string, Uint8Array>;
    assert.equal(Buffer.from(required(reason, "reason")).toString(), "not today");
  });
});
