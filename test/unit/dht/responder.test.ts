// Answers of a node: whatever is asked for, by whom, and however much there is to tell, an answer is a message, and no longer than
// SENT_BYTES_MAX.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Contact, type Family } from "../../../src/dht/contact.js";
import { KIND_RESPONSE, KrpcReader } from "../../../src/dht/krpc-reader.js";
import { KrpcWriter } from "../../../src/dht/krpc-writer.js";
import { Responder, SENT_BYTES_MAX } from "../../../src/dht/responder.js";
import { RoutingTable } from "../../../src/dht/routing-table.js";
import { Sender } from "../../../src/dht/sender.js";
import { Tokens } from "../../../src/dht/tokens.js";
import type { DatagramBatch } from "../../../src/native/datagrams.js";
import { PeerStore } from "../../../src/tracker/peer-store/peer-store.js";
import { check, makeRandom } from "../../support/property.js";

const US = new Uint8Array(20).fill(0x55);
const ASKER = new Uint8Array(20).fill(0xaa);
const HASH = Uint8Array.from({ length: 20 }, (_, at) => 7 * at);

function senderOf(family: Family): Sender {
  const addresses = new Uint32Array(4).fill(0x0b0b0b0b);
  const sender = new Sender({ addresses, ports: Uint16Array.of(0x0101) } as unknown as DatagramBatch, family);
  sender.of(0);
  return sender;
}

function tableOf(family: Family, count: number, random: () => number): RoutingTable {
  const table = new RoutingTable({ family, limitsNetworks: false });
  for (let index = 0; index < count; index++) {
    const compact = Uint8Array.from({ length: family === 4 ? 26 : 38 }, () => Math.floor(256 * random()));
    const contact = new Contact(compact, family);
    contact.answeredMs = 0;
    table.insert(contact);
  }
  return table;
}

/** A store with so many peers of HASH in both families, and so many other torrents. */
function storeOf(peers: number, torrents: number): PeerStore {
  const store = new PeerStore({ bytesMax: 2 ** 20, torrentsMax: 4096, key: Uint32Array.of(1, 2, 3, 4) });
  const announce = (hash: Uint8Array, family: Family, port: number): void => {
    const words = new Uint32Array(hash.slice().buffer);
    const address = new Uint32Array(4).fill(0x0c0c0c0c);
    const request = { hash: words, hashAt: 0, family, address, addressAt: 0, port, seeder: false };
    const sink = { words: new Uint32Array(0), halves: new Uint16Array(0), at: 0 };
    store.announce(store.hash(words, 0), { ...request, event: 0, want: 0, dice: 0, ahead: -1 }, sink);
  };
  for (let index = 1; index <= peers; index++)
    for (const family of [4, 6] as const) announce(HASH, family, index);
  for (let index = 1; index <= torrents; index++)
    announce(
      HASH.map((byte) => byte ^ index),
      4,
      1,
    );
  return store;
}

function query(
  method: string,
  transactionBytes: number,
  want: readonly string[],
  scrapes = false,
): Uint8Array {
  const list = want.length === 0 ? "" : `4:wantl${want.map((name) => `2:${name}`).join("")}e`;
  const key = method === "get_peers" ? "9:info_hash" : "6:target";
  const [id, hash] = [ASKER, HASH].map((bytes) => Buffer.from(bytes).toString("latin1"));
  const body = `d1:ad2:id20:${id}${key}20:${hash}${scrapes ? "6:scrapei1e" : ""}${list}e1:q${method.length}:${method}`;
  return Buffer.from(`${body}1:t${transactionBytes}:${"t".repeat(transactionBytes)}1:y1:qe`, "latin1");
}

describe("an answer", () => {
  it("is no longer than it may be, whoever asks for what", () => {
    const memory = new Uint8Array(4 * SENT_BYTES_MAX);
    check(
      fc.property(
        fc.record({
          seed: fc.nat(),
          contacts: fc.constantFrom(0, 5, 40),
          peers: fc.constantFrom(0, 13, 48, 100),
          torrents: fc.constantFrom(0, 1, 19, 60),
          family: fc.constantFrom<Family>(4, 6),
          method: fc.constantFrom("get_peers", "sample_infohashes", "get_peers", "vote"),
          transactionBytes: fc.integer({ min: 1, max: 32 }),
          want: fc.constantFrom([], ["n6"], ["n4", "n6"], ["n6", "n4"]),
          injects: fc.boolean(),
          scrapes: fc.boolean(),
        }),
        ({ seed, contacts, peers, torrents, family, method, transactionBytes, want, injects, scrapes }) => {
          const random = makeRandom(seed);
          const tables = new Map(
            [4, 6].map((each) => [each as Family, tableOf(each as Family, contacts, random)]),
          );
          const tokens = new Tokens(Uint32Array.of(1, 2, 3, 4));
          const responder = new Responder({
            tables,
            peers: storeOf(peers, torrents),
            tokens,
            random,
            clock: () => 0,
            ...(injects ? { inject: () => new Uint8Array(18) } : {}),
          });
          const asked = new KrpcReader();
          // Somebody announces, so that there are filters to answer with.
          if (scrapes) {
            const announce = query("get_peers", 2, []);
            assert.ok(asked.read(announce, 0, announce.length));
            tokens.make(senderOf(family), asked.bytes, asked.idAt, asked.targetAt);
            const token = Buffer.from(tokens.token).toString("latin1");
            const tell = Buffer.from(
              Buffer.from(announce)
                .toString("latin1")
                .replace("e1:q9:get_peers", `4:porti9e5:token8:${token}e1:q13:announce_peer`),
              "latin1",
            );
            assert.ok(asked.read(tell, 0, tell.length));
            const unread = new KrpcWriter();
            unread.begin(memory, 0);
            assert.ok(responder.respond(US, asked, senderOf(family), unread));
          }
          const bytes = query(method, transactionBytes, want, scrapes);
          assert.ok(asked.read(bytes, 0, bytes.length));
          const writer = new KrpcWriter();
          writer.begin(memory, 100);
          assert.ok(responder.respond(US, asked, senderOf(family), writer));
          assert.ok(writer.at - 100 <= SENT_BYTES_MAX, `${writer.at - 100} bytes`);
          const answer = new KrpcReader();
          assert.ok(answer.read(memory, 100, writer.at - 100));
          assert.equal(answer.kind, KIND_RESPONSE);
          const hasFilters = scrapes && method === "get_peers" && want.length < 2;
          assert.deepEqual([answer.bloomSeedsAt > 0, answer.bloomPeersAt > 0], [hasFilters, hasFilters]);
          if (method === "get_peers" && !hasFilters) assert.ok(answer.valuesCount >= Math.min(peers, 13));
          if (hasFilters) assert.ok(answer.valuesCount >= Math.min(peers, 1), `${answer.valuesCount}`);
          if (method === "sample_infohashes" && torrents >= 19) assert.ok(answer.samplesBytes >= 15 * 20);
        },
      ),
      600,
    );
  });
});
