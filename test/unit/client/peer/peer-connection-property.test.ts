// Whatever a peer sends, in whatever order and cut anywhere, while we do whatever we do: a connection throws nothing but
// PeerError, moves along the drawn transitions only, answers or drops every request once, and leaves no slot behind.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import fc from "fast-check";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { PEER_TRANSITIONS } from "../../../../src/client/peer/peer-state.js";
import { RECEIVE_MODES } from "../../../../src/client/receive/receive-mode.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { check } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";
import { readError } from "../send/fakes.js";
import { type BookSwarm, DATA, LAYOUT, message, pieceMessage, WiredPeer } from "./wired-peer.js";

/** One thing that happens. Numbers choose among what is possible at that moment. */
type Step =
  | {
      readonly kind: "message";
      readonly id: number;
      readonly piece: number;
      readonly begin: number;
      readonly length: number;
    }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "keepAlive" }
  | { readonly kind: "extension"; readonly reqq: number }
  | { readonly kind: "block" | "reject" | "cancelOurs" | "cut"; readonly which: number }
  | { readonly kind: "choke" | "unchoke" | "announce" | "interest"; readonly piece: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "flush"; readonly room: number }
  | { readonly kind: "readEnds"; readonly fails: boolean }
  | { readonly kind: "mode"; readonly which: number }
  | { readonly kind: "slots"; readonly free: number };

const legalPiece = fc.nat(LAYOUT.pieceCount - 1);
const ids = Object.values(MessageId).filter((id) => id !== MessageId.piece && id !== MessageId.extended);

/** Mostly what a decent peer sends: connections should live long enough for something to happen. */
const decent: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("block" as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), which: fc.nat(20_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("reject" as const), which: fc.nat(20) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("message" as const),
      id: fc.constantFrom(
        ...ids.filter(
          (id) => id !== MessageId.haveAll && id !== MessageId.haveNone && id !== MessageId.bitfield,
        ),
      ),
      piece: legalPiece,
      begin: fc.constantFrom(0, BLOCK_SIZE),
      length: fc.constantFrom(BLOCK_SIZE, 1000, 3000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("extension" as const), reqq: fc.integer({ min: -1, max: 40 }) }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "keepAlive" }) },
);

const ours: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("choke" as const, "unchoke" as const, "announce" as const, "interest" as const),
    piece: legalPiece,
  }),
  fc.record({ kind: fc.constant("cancelOurs" as const), which: fc.nat(20) }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(10, 1000, 21_000) }),
  fc.record({ kind: fc.constant("flush" as const), room: fc.constantFrom(0, 1, 100, 20_000, 1 << 30) }),
  fc.record({ kind: fc.constant("readEnds" as const), fails: fc.boolean() }),
  fc.record({ kind: fc.constant("mode" as const), which: fc.nat(RECEIVE_MODES.length - 1) }),
  fc.record({ kind: fc.constant("slots" as const), free: fc.nat(8) }),
);

const hostile: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("message" as const),
    id: fc.nat(22),
    piece: fc.oneof(fc.nat(12), fc.constant(0xffff_ffff)),
    begin: fc.oneof(fc.nat(60_000), fc.constant(0xffff_c000)),
    length: fc.oneof(fc.nat(20_000), fc.constant(0xffff_ffff)),
  }),
  fc.record({ kind: fc.constant("bytes" as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }) }),
);

class Play {
  readonly wired: WiredPeer;
  readonly log: string[] = [];
  readonly #step: number;
  readonly #withheld: number[] = [];
  #requests: [number, number, number][] = [];

  constructor(wired: WiredPeer, step: number) {
    this.wired = wired;
    this.#step = step;
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) {
      if (this.wired.peer.state === "closed") break;
      this.#do(step);
      this.#note();
      this.wired.peer.checkInvariants();
      this.wired.memory.pool.checkInvariants();
    }
  }

  /** What goes out is part of what must be the same; requests in it can be answered. */
  #note(): void {
    const sent = this.wired.sent();
    for (const { id, body } of sent) {
      this.log.push(`${id} ${body.subarray(0, 12).toString("hex")} ${body.length}`);
      if (id === MessageId.request)
        this.#requests.push([body.readUInt32BE(0), body.readUInt32BE(4), body.readUInt32BE(8)]);
    }
    const { peer, swarm } = this.wired;
    // Each request is expected, coming, or waiting in the picker: the two books agree.
    const coming = peer.receiver.payloadLeft > 0 && !peer.requests.underWayIsOrphan ? 1 : 0;
    if (peer.state === "open")
      assert.equal(swarm.open.size, peer.expected.count + coming, "both books agree");
  }

  #do(step: Step): void {
    const { peer, swarm, transport, memory, clock } = this.wired;
    switch (step.kind) {
      case "choke":
        peer.choke();
        break;
      case "unchoke":
        peer.unchoke();
        break;
      case "announce":
        // A piece that we have now, perhaps from elsewhere.
        if ([...swarm.open].every((key) => !key.startsWith(`${step.piece}/`))) swarm.have.add(step.piece);
        peer.announcePiece(step.piece);
        break;
      case "interest":
        peer.updateInterest();
        break;
      case "cancelOurs":
        this.#cancel(swarm, step.which);
        break;
      case "pass":
        clock.nowMs += step.ms;
        peer.tick(step.ms);
        break;
      case "flush":
        transport.room = () => step.room;
        break;
      case "readEnds":
        if (swarm.storage.readsPending > 0) swarm.storage.finishRead(0, step.fails ? readError() : undefined);
        break;
      case "mode":
        peer.setReceiveMode({
          name: entryOf(RECEIVE_MODES, step.which),
          depth: 3,
          contiguousWhenIdle: false,
        });
        break;
      case "slots":
        this.giveBack();
        while (memory.pool.freeCount > step.free) this.#withheld.push(memory.pool.acquire(SlotHolder.user));
        break;
      default:
        this.#say(step);
    }
  }

  /** What the peer says. */
  #say(step: Step): void {
    const { peer } = this.wired;
    switch (step.kind) {
      case "message":
        this.#feed(bytesOfMessage(step));
        break;
      case "bytes":
        this.#feed(step.bytes);
        break;
      case "keepAlive":
        this.#feed(Buffer.alloc(4));
        break;
      case "extension":
        this.#feed(message(MessageId.extended, Uint8Array.of(0), bencode.encode({ reqq: step.reqq })));
        break;
      case "block":
        this.#answer(step.which, (block) => pieceMessage(...block));
        break;
      case "reject":
        if (peer.fast) this.#answer(step.which, (block) => message(MessageId.reject, ...block));
        break;
      case "cut":
        this.#answer(0, (block) => {
          const bytes = pieceMessage(...block);
          const at = step.which % bytes.length;
          this.#feed(bytes.subarray(0, at));
          if (peer.state === "open") peer.tick(0);
          return bytes.subarray(at);
        });
        break;
      default:
        assert.fail(`a step that nobody takes: ${step.kind}`);
    }
  }

  /** Feeds; where no slot is free the disk gives some back, as it does sooner or later. */
  #feed(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0 && this.wired.peer.state !== "closed") {
      const left = this.wired.feed(rest, this.#step);
      if (left === rest.length) this.giveBack();
      rest = rest.subarray(rest.length - left);
    }
  }

  giveBack(): void {
    while (this.#withheld.length > 0)
      this.wired.memory.pool.release(this.#withheld.pop() as never, SlotHolder.user);
  }

  #answer(which: number, makeBytes: (block: [number, number, number]) => Uint8Array): void {
    if (this.#requests.length === 0) return;
    const block = entryOf(this.#requests.splice(which % this.#requests.length, 1), 0);
    this.#feed(makeBytes(block));
  }

  #cancel(swarm: BookSwarm, which: number): void {
    const keys = [...swarm.open];
    if (keys.length === 0) return;
    const key = entryOf(keys, which % keys.length);
    const [piece = 0, block = 0] = key.split("/").map(Number);
    swarm.open.delete(key);
    swarm.received.add(key);
    this.wired.peer.cancelRequest(piece, block * BLOCK_SIZE);
  }
}

function bytesOfMessage(step: Step & { kind: "message" }): Buffer {
  const { id, piece, begin, length } = step;
  switch (id) {
    case MessageId.have:
    case MessageId.suggest:
    case MessageId.allowedFast:
      return message(id, piece);
    case MessageId.request:
    case MessageId.cancel:
    case MessageId.reject:
      return message(id, piece, begin, length);
    case MessageId.port:
      return message(id, Uint8Array.of(1, 2));
    case MessageId.bitfield:
      return message(id, Uint8Array.of(piece & 0xff, begin & 0xc0));
    case MessageId.piece:
      return message(id, piece, begin, DATA.subarray(0, length % (BLOCK_SIZE + 5)));
    default:
      return message(id);
  }
}

const situation = fc.record({
  incoming: fc.boolean(),
  fast: fc.boolean(),
  seeding: fc.boolean(),
  cached: fc.boolean(),
  first: fc.constantFrom(MessageId.bitfield, MessageId.have),
});
type Situation = typeof situation extends fc.Arbitrary<infer T> ? T : never;

function play(is: Situation, steps: readonly Step[], step: number): Play {
  const prepare = (swarm: BookSwarm): void => {
    if (is.seeding) for (let piece = 0; piece < 5; piece++) swarm.have.add(piece);
    swarm.storage.cached = () => is.cached;
  };
  const wired = new WiredPeer({ incoming: is.incoming, fast: is.fast, prepare, slabBytes: MIB });
  const game = new Play(wired.open(), step);
  const first =
    is.first === MessageId.have
      ? message(MessageId.have, 7)
      : message(MessageId.bitfield, Uint8Array.of(0xff, 0xc0));
  wired.feed(Buffer.concat([first, message(MessageId.unchoke)]), step);
  game.run(steps);
  return game;
}

function finish(game: Play): void {
  const { wired } = game;
  game.giveBack();
  const { states } = wired;
  for (let index = 1; index < states.length; index++)
    assert.ok(
      PEER_TRANSITIONS[entryOf(states, index - 1)].includes(entryOf(states, index)),
      `${states[index - 1]} to ${states[index]}`,
    );
  const code = wired.closedWith?.code;
  wired.peer.close();
  wired.checkOver(code);
}

describe("PeerConnection, whatever comes", () => {
  it("ends in a legal state with all slots home; nothing but PeerError is thrown", () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 12, arbitrary: decent },
        { weight: 8, arbitrary: ours },
        { weight: 1, arbitrary: hostile },
      ),
      { maxLength: 120, size: "max" },
    );
    let lived = 0;
    let blocks = 0;
    let runs = 0;
    check(
      fc.property(situation, steps, fc.constantFrom(1, 7, 5000, 1 << 20), (is, list, step) => {
        const game = play(is, list, step);
        runs++;
        if (game.wired.peer.state === "open") lived++;
        blocks += game.wired.swarm.received.size;
        finish(game);
      }),
      300,
    );
    // The test would be worth little if all games ended at once, or nothing was ever transferred.
    if (runs >= 100)
      assert.ok(lived > runs / 20 && blocks > runs / 4, `${lived} of ${runs} lived, ${blocks} blocks`);
  });

  it("bytes one at a time give the same as all at once: messages, blocks, and how it ends", () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 12, arbitrary: decent },
        { weight: 4, arbitrary: ours },
        { weight: 1, arbitrary: hostile },
      ),
      {
        maxLength: 60,
        size: "max",
      },
    );
    check(
      fc.property(situation, steps, fc.constantFrom(1, 3, 17, 1000), (is, list, cut) => {
        // How long slots are short, and how many requests a fill finds missing after a cancel or a snub, depends on
        // when bytes come: that is the other property's business.
        const timeless = list.filter(
          (each) =>
            each.kind !== "slots" && each.kind !== "cancelOurs" && !(each.kind === "pass" && each.ms > 1000),
        );
        const whole = play(is, timeless, 1 << 20);
        const dripped = play(is, timeless, cut);
        assert.deepEqual(dripped.log, whole.log);
        assert.deepEqual(dripped.wired.states, whole.wired.states);
        assert.equal(dripped.wired.closedWith?.message, whole.wired.closedWith?.message);
        assert.deepEqual(dripped.wired.swarm.received, whole.wired.swarm.received);
        assert.deepEqual(dripped.wired.swarm.dropped, whole.wired.swarm.dropped);
        finish(whole);
        finish(dripped);
      }),
      150,
    );
  });
});
