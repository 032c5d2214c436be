// What is asked of trackers over HTTP, and what is read from their answers, whatever bytes those are.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import bencode from "bencode";
import fc from "fast-check";
import { TrackerError } from "../../../../src/base/errors.js";
import { type AnnounceRequest, PEERS_MAX } from "../../../../src/tracker/client/announce.js";
import {
  announceUrl,
  readAnnounceAnswer,
  readScrapeAnswer,
  scrapeUrl,
} from "../../../../src/tracker/client/http-announce.js";
import { parseTrackerUrl } from "../../../../src/tracker/client/tracker-url.js";
import { check } from "../../../support/property.js";

const HASH = Buffer.from("123456789abcdef12345007f20252b2e2f7e61ff", "hex");
const REQUEST: AnnounceRequest = {
  infoHash: HASH,
  peerId: Buffer.from("-SW0100-abcdefghijk+"),
  ports: { v4: 6881, v6: 6882 },
  uploaded: 1,
  downloaded: 2 ** 50,
  left: 3,
  event: "none",
  numWant: -1,
  key: 0xabc,
};

const answered = (fields: Record<string, unknown>) => readAnnounceAnswer(bencode.encode(fields), 200);
const fails = (code: string, message?: RegExp) => (error: unknown) =>
  error instanceof TrackerError && error.code === code && (message?.test(error.message) ?? true);

describe("tracker addresses", () => {
  it("are taken apart", () => {
    const udp = parseTrackerUrl("udp://[2001:db8::1]:80/a?b=c#d");
    assert.deepEqual([udp.protocol, udp.host, udp.port, udp.path], ["udp", "2001:db8::1", 80, "/a?b=c"]);
    const bare = parseTrackerUrl("udp://tracker.example:1337");
    assert.deepEqual([bare.host, bare.port, bare.path], ["tracker.example", 1337, "/"]);
    const https = parseTrackerUrl("HTTPS://Tracker.Example/x/announce");
    assert.deepEqual([https.protocol, https.host, https.port], ["https", "tracker.example", 443]);
  });

  it("are refused if nothing can be asked there", () => {
    for (const text of [
      "",
      "tracker",
      "wss://tracker.example",
      "file:///etc/passwd",
      "udp://tracker.example/announce",
      "udp://:80/announce",
      `http://tracker.example/${"x".repeat(3000)}`,
      `udp://tracker.example:1/${"x".repeat(1200)}`,
    ])
      assert.throws(() => parseTrackerUrl(text), fails("TRACKER_URL"), text);
  });
});

describe("what is asked over HTTP", () => {
  it("is all that BEP 3, 7 and 23 have, beside what the address has already", () => {
    const url = announceUrl(parseTrackerUrl("http://t.example/announce?pass=a%20b"), REQUEST, 4);
    assert.equal(
      url.href,
      "http://t.example/announce?pass=a%20b&info_hash=%124Vx%9A%BC%DE%F1%23E%00%7F%20%25%2B.%2F~a%FF" +
        "&peer_id=-SW0100-abcdefghijk%2B&port=6881&uploaded=1&downloaded=1125899906842624&left=3" +
        "&compact=1&no_peer_id=1&key=00000abc",
    );
    const more = { event: "started", numWant: 50, trackerId: "\u00e9 x", ip: "2001:db8::1" } as const;
    const full = announceUrl(parseTrackerUrl("https://t.example/a"), { ...REQUEST, ...more }, 6);
    assert.match(
      full.href,
      /port=6882&.*&key=00000abc&numwant=50&event=started&trackerid=%E9%20x&ip=2001%3Adb8%3A%3A1$/,
    );
  });

  it("is a scrape where the address says how", () => {
    const of = (text: string): string | undefined => scrapeUrl(parseTrackerUrl(text), [HASH, HASH])?.href;
    assert.match(
      of("http://t.example/x/announce?k=1") ?? "",
      /^http:\/\/t.example\/x\/scrape\?k=1&info_hash=.*&info_hash=/,
    );
    assert.match(of("http://t.example/announce.php") ?? "", /^http:\/\/t.example\/scrape.php\?info_hash=/);
    assert.equal(of("http://t.example/a"), undefined);
    assert.equal(of("http://t.example/announce/key"), undefined);
  });
});

describe("answers over HTTP", () => {
  it("name peers in each form, IPv4 and IPv6", () => {
    const answer = answered({
      interval: 1800,
      "min interval": 900,
      complete: 1,
      incomplete: 2,
      downloaded: 3,
      "tracker id": "abc",
      "warning message": "be\u001b[1m nice",
      "external ip": Buffer.from([192, 0, 2, 7]),
      peers: Buffer.from("01020304001505060708ffff", "hex"),
      peers6: Buffer.from("20010db800000000000000000000000100500001", "hex"),
    });
    assert.deepEqual(answer, {
      interval: 1800,
      minInterval: 900,
      seeders: 1,
      leechers: 2,
      downloads: 3,
      trackerId: "abc",
      warning: "be [1m nice",
      externalIp: "192.0.2.7",
      peers: [
        { host: "1.2.3.4", port: 21 },
        { host: "5.6.7.8", port: 65535 },
        { host: "2001:db8:0:0:0:0:0:1", port: 80 },
      ],
    });
    const listed = answered({
      peers: [
        { ip: "1.2.3.4", port: 5 },
        { ip: "tracker.example", port: 5 },
        { ip: "::1", port: 6, "peer id": "x" },
        { ip: "1.2.3.5", port: 65536 },
        "no peer",
        { ip: "1.2.3.5", port: -1 },
      ],
    });
    assert.deepEqual(listed.peers, [
      { host: "1.2.3.4", port: 5 },
      { host: "0:0:0:0:0:0:0:1", port: 6 },
    ]);
    assert.deepEqual([listed.interval, listed.seeders, listed.warning], [undefined, undefined, undefined]);
  });

  it("name a thousand peers at the most", () => {
    const many = Buffer.alloc(6 * 100_000, 9);
    assert.equal(answered({ peers: many, peers6: Buffer.alloc(18 * 1000, 9) }).peers.length, PEERS_MAX);
    const listed = Array.from({ length: 5000 }, (_, index) => ({ ip: "9.9.9.9", port: 1 + index }));
    assert.equal(answered({ peers: listed }).peers.length, PEERS_MAX);
  });

  it("fail with the tracker's reason, and when to come back (BEP 31)", () => {
    const failing = (more: Record<string, unknown>): TrackerError => {
      try {
        answered({ "failure reason": "not\nregistered", ...more });
      } catch (error) {
        assert.ok(error instanceof TrackerError);
        return error;
      }
      return assert.fail("it is a failure");
    };
    assert.deepEqual(
      [failing({}).code, failing({}).message, failing({}).retryInSeconds],
      ["TRACKER_FAILURE", "not registered", undefined],
    );
    assert.equal(failing({ "retry in": 5 }).retryInSeconds, 300);
    assert.equal(failing({ "retry in": "never" }).retryInSeconds, Number.POSITIVE_INFINITY);
    assert.equal(failing({ "retry in": -5 }).retryInSeconds, undefined);
    // Whatever the status is that comes with it.
    const body = bencode.encode({ "failure reason": "no such torrent" });
    assert.throws(() => readAnnounceAnswer(body, 404), fails("TRACKER_FAILURE", /no such torrent/));
  });

  it("are refused if they are none", () => {
    for (const text of ["", "<html>", "i5e", "d8:intervali5", "d1:ai1e1:ai2ee", "l".repeat(5000)])
      assert.throws(() => readAnnounceAnswer(Buffer.from(text), 200), fails("TRACKER_MALFORMED"), text);
    assert.throws(() => readAnnounceAnswer(Buffer.from("<html>"), 502), fails("TRACKER_STATUS", /502/));
    assert.throws(() => readAnnounceAnswer(Buffer.from("d8:intervali5ee"), 500), fails("TRACKER_STATUS"));
    assert.throws(() => readScrapeAnswer(Buffer.from("de"), 200, [HASH]), fails("TRACKER_MALFORMED"));
  });

  it("hold numbers that are whole and not negative, or none", () => {
    const answer = answered({ interval: -1, complete: 2 ** 60, incomplete: "12", "min interval": [] });
    assert.deepEqual(
      [answer.interval, answer.seeders, answer.leechers, answer.minInterval],
      [undefined, undefined, 12, undefined],
    );
  });

  it("say of scraped torrents what was asked", () => {
    const other = new Uint8Array(20).fill(1);
    const files = new Map([
      [HASH, { complete: 1, incomplete: 2, downloaded: 3 }],
      [Buffer.alloc(20, 9), { complete: 9 }],
    ]);
    assert.deepEqual(readScrapeAnswer(bencode.encode({ files }), 200, [other, HASH]), [
      { infoHash: HASH.toString("hex"), seeders: 1, leechers: 2, downloads: 3 },
    ]);
  });

  it("are read from a tracker that takes hashes for text", () => {
    const text = Buffer.from(HASH.toString("latin1"), "utf8");
    const body = Buffer.concat([
      Buffer.from(`d5:filesd${text.length}:`),
      text,
      Buffer.from("d8:completei4e10:incompletei5eeee"),
    ]);
    const [entry] = readScrapeAnswer(body, 200, [HASH]);
    assert.deepEqual([entry?.seeders, entry?.leechers], [4, 5]);
  });

  it("end in an answer or in TrackerError, whatever bytes they are", () => {
    const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.integer(),
        fc.uint8Array({ maxLength: 40 }),
        tie("list"),
        tie("dict"),
      ),
      list: fc.array(tie("value"), { maxLength: 4 }),
      dict: fc.dictionary(fc.string({ maxLength: 6 }), tie("value"), { maxKeys: 4 }),
    })).value;
    const keys = [
      "peers",
      "peers6",
      "interval",
      "failure reason",
      "retry in",
      "external ip",
      "files",
      "tracker id",
    ];
    const answer = fc
      .array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 6 })
      .map((fields) => Buffer.from(bencode.encode(Object.fromEntries(fields))));
    const bytes = fc.oneof(answer, fc.uint8Array({ maxLength: 200 }));
    const property = fc.property(bytes, fc.nat(300), fc.nat(255), (body, at, byte) => {
      const changed = Uint8Array.from(body);
      if (at < changed.length) changed[at] = byte;
      for (const read of [
        () => readAnnounceAnswer(changed, 200),
        () => readScrapeAnswer(changed, 200, [HASH]),
      ]) {
        try {
          read();
        } catch (error) {
          if (!(error instanceof TrackerError)) throw error;
        }
      }
    });
    check(property, 2000);
  });
});
