// Messages of the DHT: what is written is read again, what others write (by the bencode package) is read as they meant it, and whatever
// bytes come, reading them ends, without an exception, with offsets inside of them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import fc from "fast-check";
import {
  BLOOM_BYTES,
  KIND_ERROR,
  KIND_NONE,
  KIND_QUERY,
  KIND_RESPONSE,
  KrpcReader,
  METHOD_ANNOUNCE_PEER,
  METHOD_FIND_NODE,
  METHOD_GET_PEERS,
  METHOD_PING,
  METHOD_SAMPLE_INFOHASHES,
  METHOD_UNKNOWN,
} from "../../../src/dht/krpc-reader.js";
import { KrpcWriter } from "../../../src/dht/krpc-writer.js";
import { check } from "../../support/property.js";

const AT = 24;
const ID = Uint8Array.from({ length: 20 }, (_, at) => at + 1);
const TARGET = Uint8Array.from({ length: 20 }, (_, at) => 200 - at);

function read(bytes: Uint8Array): KrpcReader {
  const memory = new Uint8Array(AT + bytes.length + 8).fill(0x64);
  memory.set(bytes, AT);
  const reader = new KrpcReader();
  reader.read(memory, AT, bytes.length);
  return reader;
}

function written(write: (writer: KrpcWriter) => void): Uint8Array {
  const bytes = new Uint8Array(AT + 1024);
  const writer = new KrpcWriter();
  writer.begin(bytes, AT);
  write(writer);
  return bytes.slice(AT, writer.at);
}

function slice(reader: KrpcReader, at: number, length: number): Uint8Array {
  assert.ok(at >= 0);
  return reader.bytes.slice(at, at + length);
}

describe("KRPC", () => {
  it("reads the queries that it writes, which are canonical bencode", () => {
    const token = Uint8Array.of(1, 2, 3);
    const cases: [number, (writer: KrpcWriter) => void][] = [
      [METHOD_PING, (writer) => writer.ping(ID)],
      [METHOD_FIND_NODE, (writer) => writer.findNode(ID, TARGET, true)],
      [METHOD_GET_PEERS, (writer) => writer.getPeers(ID, TARGET, true, true, true)],
      [METHOD_ANNOUNCE_PEER, (writer) => writer.announcePeer(ID, TARGET, 6881, true, true, token)],
      [METHOD_SAMPLE_INFOHASHES, (writer) => writer.sampleInfoHashes(ID, TARGET, false)],
    ];
    for (const [method, write] of cases) {
      const bytes = written((writer) => {
        write(writer);
        writer.endQuery(0xfedcba98, true);
      });
      assert.deepEqual(new Uint8Array(bencode.encode(bencode.decode(Buffer.from(bytes)))), bytes);
      const reader = read(bytes);
      assert.equal(reader.kind, KIND_QUERY);
      assert.equal(reader.method, method);
      assert.ok(reader.isReadOnly);
      assert.deepEqual(slice(reader, reader.idAt, 20), ID);
      assert.deepEqual(
        slice(reader, reader.transactionAt, reader.transactionBytes),
        Uint8Array.of(0xfe, 0xdc, 0xba, 0x98),
      );
      if (method !== METHOD_PING) assert.deepEqual(slice(reader, reader.targetAt, 20), TARGET);
      assert.equal(reader.wantsV6, method === METHOD_FIND_NODE || method === METHOD_GET_PEERS);
      assert.equal(reader.noSeeds, method === METHOD_GET_PEERS);
      if (method !== METHOD_ANNOUNCE_PEER) continue;
      assert.deepEqual(slice(reader, reader.tokenAt, reader.tokenBytes), token);
      assert.deepEqual([reader.port, reader.impliedPort, reader.isSeed], [6881, true, true]);
    }
  });

  it("reads answers of others, whatever else stands in them", () => {
    check(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        fc.nat({ max: 8 }),
        fc.array(fc.uint8Array({ minLength: 6, maxLength: 6 }), { maxLength: 40 }),
        fc.dictionary(
          fc.string({ maxLength: 9 }).map((key) => `x${key}`),
          fc.oneof(
            fc.string(),
            fc.integer(),
            fc.array(fc.array(fc.string(), { maxLength: 3 }), { maxLength: 3 }),
          ),
          { maxKeys: 4 },
        ),
        (transaction, nodes, values, others) => {
          const known = {
            id: ID,
            nodes: new Uint8Array(26 * nodes).fill(7),
            token: Uint8Array.of(5, 5),
            values,
            BFsd: new Uint8Array(BLOOM_BYTES),
          };
          const message = {
            ip: Uint8Array.of(1, 2, 3, 4, 5, 6),
            r: { ...others, ...known },
            t: transaction,
            y: "r",
          };
          const reader = read(new Uint8Array(bencode.encode(message)));
          assert.equal(reader.kind, KIND_RESPONSE);
          assert.equal(reader.nodesBytes, 26 * nodes);
          assert.equal(reader.valuesCount, values.length);
          let at = reader.valuesAt;
          for (const value of values) {
            at = reader.valueAt(at);
            assert.deepEqual(slice(reader, at, reader.valueBytes), value);
            at += reader.valueBytes;
          }
          assert.equal(reader.ipBytes, 6);
          assert.ok(reader.bloomSeedsAt > 0 && reader.bloomPeersAt === -1);
        },
      ),
      300,
    );
  });

  it("reads errors, those that libtorrent sends with an answer beside them included", () => {
    const bytes = bencode.encode({ e: [203, "no"], r: { id: ID }, t: "ab", y: "e" });
    const reader = read(new Uint8Array(bytes));
    assert.deepEqual([reader.kind, reader.errorCode], [KIND_ERROR, 203]);
    const ours = read(written((writer) => writer.error(204, "method unknown", ID, 0, 4)));
    assert.deepEqual([ours.kind, ours.errorCode, ours.transactionBytes], [KIND_ERROR, 204, 4]);
  });

  it("takes fields of the wrong type or length for absent, and what misses a field it needs for no message", () => {
    const text = (message: string): KrpcReader => read(Buffer.from(message, "latin1"));
    const id = "2:id20:aaaaaaaaaaaaaaaaaaaa";
    // The packet that ends processes which trust types: an integer where 20 bytes belong.
    assert.equal(text(`d1:ad${id}6:targeti5ee1:q9:find_node1:t2:aa1:y1:qe`).kind, KIND_NONE);
    assert.equal(text(`d1:ad${id}9:info_hash3:abce1:q9:get_peers1:t2:aa1:y1:qe`).kind, KIND_NONE);
    assert.equal(text(`d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe`).kind, KIND_NONE);
    assert.equal(text(`d1:ad${id}e1:q4:ping1:y1:qe`).kind, KIND_NONE, "no transaction");
    assert.equal(text(`d1:ad${id}e1:q4:ping1:t2:aa1:y1:qex`).kind, KIND_NONE, "something follows");
    assert.equal(text(`d1:rd${id}5:nodes25:${"n".repeat(25)}e1:t2:aa1:y1:re`).nodesAt, -1);
    assert.equal(text(`d1:rd${id}6:values7:abcdefge1:t2:aa1:y1:re`).valuesCount, 0);
    const unknown = text(`d1:ad${id}e1:q5:hello1:t2:aa1:y1:qe`);
    assert.deepEqual([unknown.kind, unknown.method], [KIND_QUERY, METHOD_UNKNOWN]);
    assert.equal(
      text(`d1:ad${id}4:wantl${"l".repeat(20)}${"e".repeat(20)}ee1:q4:ping1:t2:aa1:y1:qe`).kind,
      KIND_NONE,
    );
    assert.equal(text(`d1:rd${id}6:valuesl${"0:".repeat(600)}ee1:t2:aa1:y1:re`).kind, KIND_NONE, "too many");
  });

  it("ends on any bytes, with offsets inside of them", () => {
    const message = Buffer.from(
      bencode.encode({
        a: { id: ID, info_hash: TARGET, token: "tok", port: 5, want: ["n4", "n6"] },
        q: "get_peers",
        t: "xy",
        y: "q",
      }),
    );
    const mutated = fc
      .array(fc.tuple(fc.nat({ max: message.length - 1 }), fc.nat({ max: 255 })), { maxLength: 6 })
      .map((changes) => {
        const bytes = new Uint8Array(message);
        for (const [at, byte] of changes) bytes[at] = byte;
        return bytes;
      });
    const letters = fc
      .array(fc.constantFrom(..."delir0129:-t1y".split("")), { maxLength: 400 })
      .map((parts) => new Uint8Array(Buffer.from(`d${parts.join("")}`, "latin1")));
    check(
      fc.property(fc.oneof(mutated, letters, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        const reader = read(bytes);
        if (reader.kind === KIND_NONE) return;
        const end = AT + bytes.length;
        const ends: [number, number][] = [
          [reader.idAt, 20],
          [reader.targetAt, 20],
          [reader.tokenAt, reader.tokenBytes],
          [reader.nodesAt, reader.nodesBytes],
          [reader.transactionAt, reader.transactionBytes],
        ];
        for (const [at, length] of ends)
          assert.ok(at === -1 || (at >= AT && at + length <= end), `${at} + ${length} of ${end}`);
      }),
      3000,
    );
  });

  it("are none with a transaction that is no text, and count the last of two lists of peers only", () => {
    const id = `2:id20:${"a".repeat(20)}`;
    assert.equal(read(Buffer.from(`d1:ad${id}e1:q4:ping1:ti5e1:y1:qe`)).kind, KIND_NONE);
    const twice = read(Buffer.from(`d1:rd${id}6:valuesl6:abcdef6:abcdefe6:valuesl6:uvwxyzee1:t2:aa1:y1:re`));
    assert.equal(twice.kind, KIND_RESPONSE);
    assert.equal(twice.valuesCount, 1);
  });
});
