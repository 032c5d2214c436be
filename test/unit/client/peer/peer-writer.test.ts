// Every message that is written is one that our own decoder reads back, wherever the outbox stood before.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PeerWriter } from "../../../../src/client/peer/peer-writer.js";
import { Outbox } from "../../../../src/client/send/outbox.js";
import { dispatchMessage, readUint32 } from "../../../../src/client/wire/decode.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { check } from "../../../support/property.js";
import { FakeTransport } from "../send/fakes.js";
import { recordMessages } from "../wire/record-messages.js";

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const bytes = fc.uint8Array({ maxLength: 3000 });
type Write = readonly [expected: unknown[], write: (writer: PeerWriter) => void];

const EMPTY: readonly [number, string][] = [
  [MessageId.choke, "choke"],
  [MessageId.unchoke, "unchoke"],
  [MessageId.interested, "interested"],
  [MessageId.notInterested, "notInterested"],
  [MessageId.haveAll, "haveAll"],
  [MessageId.haveNone, "haveNone"],
];
const BLOCKS: readonly [number, string][] = [
  [MessageId.request, "request"],
  [MessageId.cancel, "cancel"],
  [MessageId.reject, "reject"],
];
const hex = (of: Uint8Array): string => Buffer.from(of).toString("hex");

const writes: fc.Arbitrary<Write> = fc.oneof(
  fc.constant<Write>([["keepAlive"], (writer) => writer.keepAlive()]),
  fc.constantFrom(...EMPTY).map(([id, name]): Write => [[name], (writer) => writer.empty(id)]),
  uint32.map((piece): Write => [["have", piece], (writer) => writer.have(piece)]),
  fc
    .tuple(fc.constantFrom(...BLOCKS), uint32, uint32, uint32)
    .map(([[id, name], ...at]): Write => [[name, ...at], (writer) => writer.request(id, ...at)]),
  bytes.map((bits): Write => [["bitfield", hex(bits)], (writer) => writer.bitfield(bits)]),
  fc
    .tuple(fc.nat(255), bytes)
    .map(
      ([id, payload]): Write => [["extended", id, hex(payload)], (writer) => writer.extended(id, payload)],
    ),
);

describe("PeerWriter", () => {
  it("writes what our decoder reads, and asks for a flush each time", () => {
    check(
      fc.property(fc.array(writes, { maxLength: 60 }), fc.array(fc.nat(200)), (list, taken) => {
        const outbox = new Outbox();
        const transport = new FakeTransport(new Uint8Array(0), new Float64Array(0));
        const writer = new PeerWriter(outbox, transport);
        const parts: Uint8Array[] = [];
        const take = (count: number): void => {
          parts.push(outbox.bytes.slice(outbox.start, outbox.start + count));
          outbox.consume(count);
        };
        list.forEach(([, write], index) => {
          write(writer);
          take(Math.min(outbox.length, taken[index] ?? 0));
        });
        assert.equal(transport.flushesAsked, list.length);
        take(outbox.length);
        assert.deepEqual(
          readAll(Buffer.concat(parts)),
          list.map(([expected]) => expected),
        );
      }),
      300,
    );
  });
});

function readAll(stream: Uint8Array): unknown[][] {
  const { handler, calls } = recordMessages();
  let at = 0;
  while (at < stream.length) {
    const length = readUint32(stream, at);
    if (length === 0) calls.push(["keepAlive"]);
    else dispatchMessage(stream, at + 4, length, handler);
    at += 4 + length;
  }
  assert.equal(at, stream.length, "whole messages only");
  return calls;
}
