// Ways in which a peer misbehaves, each small: what it says when it is let in, what it does from time to time, and how it answers a
// request. A crowd of them (load-crowd.ts) is what a session on the open network may meet all at once.
//
// One file, because it is one list, and each entry is a few lines.
//
// Always: whatever is done costs the one that does it little. A crowd that is busy would be measured instead of whom it crowds.

import { BLOCK_SIZE, KIB, MIB, PIECE_HEADER_BYTES } from "../../src/base/limits.js";
import { writeUint32 } from "../../src/client/wire/encode.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { there } from "../measuring/ends.js";

/** One of the crowd, as its way to misbehave sees it. Numbers of dice are from 0 to below `sides`. */
export interface CrowdPeer {
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly totalLength: number;
  /** It has begun to send one, and not ended it. */
  isInABlock: boolean;
  /** What it sends a byte at a time. */
  owed: Uint8Array;
  /** Its own. */
  handshake(): Uint8Array;
  dice(sides: number): number;
  /** Takes so many bytes of what waits for it, and looks at none: for one that is deaf. */
  swallow(bytes: number): void;
  send(...messages: readonly Uint8Array[]): void;
  leave(): void;
}

export interface Misbehaviour {
  /** It never reads what comes after the handshake. */
  readonly deaf?: boolean;
  /** It has not said its handshake, and what it does comes instead. */
  readonly stranger?: boolean;
  /** Whoever went comes back without a pause. */
  readonly storms?: boolean;
  opened?(peer: CrowdPeer): void;
  /** Returns in how many milliseconds it wants to act again. */
  act?(peer: CrowdPeer): number;
  requested?(peer: CrowdPeer, piece: number, begin: number, length: number): void;
}

const KEEP_ALIVE = new Uint8Array(4);
const SECOND = 1000;
const LONG_MS = 60 * SECOND;
const NOTHING = new Uint8Array(0);
/** Of a Diffie-Hellman exchange, in the encryption handshake. */
const KEY_BYTES = 96;
const DRIP_BYTES = 64;

/** A message with a body of numbers of 32 bits. */
function message(id: number, ...numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(5 + 4 * numbers.length);
  writeUint32(bytes, 0, 1 + 4 * numbers.length);
  bytes[4] = id;
  for (const [index, number] of numbers.entries()) writeUint32(bytes, 5 + 4 * index, number);
  return bytes;
}

/** The beginning of a message of `length` bytes: `came` of them. */
function unfinished(id: number, length: number, came: number): Uint8Array {
  const bytes = new Uint8Array(5 + came);
  writeUint32(bytes, 0, length);
  bytes[4] = id;
  return bytes;
}

function blockRequest(peer: CrowdPeer, id: number = MessageId.request): Uint8Array {
  const piece = peer.dice(peer.pieceCount);
  const pieceBytes = Math.min(peer.pieceLength, peer.totalLength - piece * peer.pieceLength);
  const begin = BLOCK_SIZE * peer.dice(Math.ceil(pieceBytes / BLOCK_SIZE));
  return message(id, piece, begin, Math.min(BLOCK_SIZE, pieceBytes - begin));
}

function repeat(count: number, make: () => Uint8Array): Uint8Array[] {
  return Array.from({ length: count }, make);
}

/** The header of the block that was asked for, and `came` bytes of it. */
function blockStart(piece: number, begin: number, length: number, came: number): Uint8Array {
  const bytes = new Uint8Array(PIECE_HEADER_BYTES + came);
  writeUint32(bytes, 0, 9 + length);
  bytes[4] = MessageId.piece;
  writeUint32(bytes, 5, piece);
  writeUint32(bytes, 9, begin);
  return bytes;
}

/** One byte more of what it owes. */
function drip(peer: CrowdPeer): void {
  if (peer.owed.length === 0) return;
  peer.send(peer.owed.subarray(0, 1));
  peer.owed = peer.owed.subarray(1);
}

/** An extension handshake of about `length` bytes, whose one long name means nothing to anybody. */
function extensionHandshake(length: number): Uint8Array {
  const name = "x".repeat(length);
  return extensionMessage(0, new TextEncoder().encode(`d1:md${length}:${name}i1eee`));
}

/** An extension handshake. */
function handshakeOf(text: string): Uint8Array {
  return extensionMessage(0, new TextEncoder().encode(text));
}

function extensionMessage(id: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(6 + body.length);
  writeUint32(bytes, 0, 2 + body.length);
  bytes[4] = MessageId.extended;
  bytes[5] = id;
  bytes.set(body, 6);
  return bytes;
}

function randomBytes(peer: CrowdPeer, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => peer.dice(256));
}

/** A bitfield in which each piece is there that `has` says. */
function bitfield(peer: CrowdPeer, has: (piece: number) => boolean): Uint8Array {
  const bytes = new Uint8Array(5 + Math.ceil(peer.pieceCount / 8));
  writeUint32(bytes, 0, bytes.length - 4);
  bytes[4] = MessageId.bitfield;
  for (let piece = 0; piece < peer.pieceCount; piece++)
    if (has(piece)) bytes[5 + (piece >> 3)] = there(bytes[5 + (piece >> 3)]) | (0x80 >> (piece & 7));
  return bytes;
}

const interested = message(MessageId.interested);
const notInterested = message(MessageId.notInterested);

/** Says that it has everything, and that we may ask. */
function pretendToSeed(peer: CrowdPeer): void {
  peer.send(message(MessageId.haveAll), message(MessageId.unchoke));
}

function wish(peer: CrowdPeer): void {
  peer.send(interested);
}

/** What no one else does is the measure of all others: it is there, and that is all. */
export const IDLE: Misbehaviour = {
  act: (peer) => {
    peer.send(KEEP_ALIVE);
    return LONG_MS;
  },
};

export const MISBEHAVIOURS = {
  /** Wants to be served, and when it is, asks for nothing. */
  holdsSlots: {
    opened: wish,
    act: (peer) => {
      peer.send(KEEP_ALIVE);
      return SECOND + peer.dice(2 * SECOND);
    },
  },
  flapsInterest: {
    act: (peer) => {
      peer.send(...repeat(1 + peer.dice(20), () => notInterested).flatMap((no) => [no, interested]));
      return 20 + peer.dice(SECOND);
    },
  },
  /** Asks for all that it can, and reads nothing of it. */
  asksAndIsDeaf: {
    deaf: true,
    opened: wish,
    act: (peer) => {
      peer.send(KEEP_ALIVE, ...repeat(50, () => blockRequest(peer)));
      return 200 + peer.dice(2 * SECOND);
    },
  },
  /** Always asks for more, and reads 4 KiB a second of it: less than anybody's part of the link. What is free it does not take. */
  readsSlowly: {
    deaf: true,
    opened: (peer) => {
      const some = Math.min(12, peer.pieceCount);
      peer.send(...Array.from({ length: some }, (_, piece) => message(MessageId.have, piece)), interested);
    },
    act: (peer) => {
      if (peer.dice(20) === 0) peer.send(...repeat(8, () => blockRequest(peer)));
      peer.swallow(KIB);
      return SECOND / 4;
    },
  },
  /** Asks for a block now and then. */
  sips: {
    opened: wish,
    act: (peer) => {
      peer.send(blockRequest(peer));
      return SECOND + peer.dice(4 * SECOND);
    },
  },
  asksAndCancels: {
    opened: wish,
    act: (peer) => {
      const asked = repeat(50, () => blockRequest(peer));
      const cancelled = asked.map((request) =>
        Uint8Array.from(request, (byte, at) => (at === 4 ? MessageId.cancel : byte)),
      );
      peer.send(...asked, ...cancelled);
      return 200 + peer.dice(SECOND);
    },
  },
  haves: {
    act: (peer) => {
      peer.send(...repeat(100, () => message(MessageId.have, peer.dice(peer.pieceCount))));
      return 200 + peer.dice(SECOND);
    },
  },
  stopsInABlock: {
    opened: pretendToSeed,
    // Whatever else it says is of that block.
    requested: (peer, piece, begin, length) => {
      if (!peer.isInABlock) peer.send(blockStart(piece, begin, length, length >> 1));
      peer.isInABlock = true;
    },
    act: (peer) => {
      if (peer.isInABlock) peer.send(Uint8Array.of(0));
      return 3 * SECOND;
    },
  },
  /** A header takes 13 s, and the block after it for ever. */
  dripsBlocks: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      if (peer.owed.length === 0) peer.owed = blockStart(piece, begin, length, length);
    },
    act: (peer) => {
      drip(peer);
      return SECOND;
    },
  },
  /** Keep-alives, a byte at a time. */
  dripsLengths: {
    opened: pretendToSeed,
    act: (peer) => {
      peer.send(Uint8Array.of(0));
      return SECOND;
    },
  },
  dripsAnExtension: {
    opened: (peer) => {
      pretendToSeed(peer);
      peer.owed = extensionHandshake(16_000);
    },
    act: (peer) => {
      drip(peer);
      return 200;
    },
  },
  neverAnswers: { opened: pretendToSeed },
  /** Answers, but not soon. */
  dawdles: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      if (peer.owed.length === 0) peer.owed = blockStart(piece, begin, length, length);
    },
    act: (peer) => {
      peer.send(peer.owed);
      peer.owed = NOTHING;
      return 5 * SECOND;
    },
  },
  refuses: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => peer.send(message(MessageId.reject, piece, begin, length)),
  },
  /** What it refused is allowed the more (BEP 6), again and again. */
  refusesAndAllows: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      const refused = message(MessageId.reject, piece, begin, length);
      peer.send(refused, message(MessageId.allowedFast, piece));
    },
  },
  /** Chokes, and allows what it refuses. */
  allowsAndRefuses: {
    opened: (peer) => {
      peer.send(message(MessageId.haveAll), message(MessageId.allowedFast, peer.dice(peer.pieceCount)));
    },
    requested: (peer, piece, begin, length) => {
      const refused = message(MessageId.reject, piece, begin, length);
      peer.send(refused, message(MessageId.allowedFast, piece));
    },
  },
  chokesAndUnchokes: {
    opened: pretendToSeed,
    act: (peer) => {
      peer.send(message(MessageId.choke), message(MessageId.unchoke));
      return 100 + peer.dice(SECOND);
    },
  },
  /** Each block that it sends is wrong; one of a hundred, so that wrong ones do not fill the line. */
  lies: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      if (peer.dice(100) === 0) peer.send(blockStart(piece, begin, length, length));
    },
  },
  /** Sends one wrong block, is gone, and comes back as somebody else. */
  hitsAndRuns: {
    storms: true,
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      if (peer.isInABlock) return;
      peer.isInABlock = true;
      peer.send(blockStart(piece, begin, length, length));
    },
    act: (peer) => {
      if (peer.isInABlock) peer.leave();
      return 500 + peer.dice(SECOND);
    },
  },
  /** Right about what it has, and never about what is in it; the wrong bytes are those of all of its kind. */
  colludes: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      if (piece % 4 === 0) peer.send(blockStart(piece, begin, length, length));
      else peer.send(message(MessageId.reject, piece, begin, length));
    },
  },
  floodsExtensions: {
    act: (peer) => {
      peer.send(...repeat(8, () => extensionHandshake(30_000)));
      return 100 + peer.dice(SECOND);
    },
  },
  floodsBitfields: {
    act: (peer) => {
      const parity = peer.dice(2);
      const half = bitfield(peer, (piece) => piece % 2 === parity);
      peer.send(...repeat(50, () => half));
      return 100 + peer.dice(SECOND);
    },
  },
  /** All but one piece, then that one, and it is gone. */
  becomesASeed: {
    storms: true,
    opened: (peer) => {
      const last = peer.dice(peer.pieceCount);
      peer.send(
        bitfield(peer, (piece) => piece !== last),
        message(MessageId.have, last),
      );
    },
    act: (peer) => {
      peer.leave();
      return LONG_MS;
    },
  },
  repeatsHaves: {
    act: (peer) => {
      const piece = peer.dice(peer.pieceCount);
      peer.send(...repeat(500, () => message(MessageId.have, piece)));
      return 100 + peer.dice(SECOND);
    },
  },
  suggests: {
    opened: pretendToSeed,
    act: (peer) => {
      peer.send(...repeat(500, () => message(MessageId.suggest, peer.dice(peer.pieceCount))));
      return 100 + peer.dice(SECOND);
    },
  },
  tellsPorts: {
    act: (peer) => {
      peer.send(
        ...repeat(500, () => Uint8Array.of(0, 0, 0, 3, MessageId.port, peer.dice(256), peer.dice(256))),
      );
      return 100 + peer.dice(SECOND);
    },
  },
  /** Asks for all that a queue holds, a whole block each, and reads it. */
  floodsRequests: {
    opened: wish,
    act: (peer) => {
      peer.send(...repeat(1000, () => blockRequest(peer)));
      return SECOND + peer.dice(SECOND);
    },
  },
  /** A whole message for each byte. */
  asksForBytes: {
    opened: wish,
    act: (peer) => {
      peer.send(...repeat(1000, () => message(MessageId.request, peer.dice(peer.pieceCount), 0, 1)));
      return 200 + peer.dice(SECOND);
    },
  },
  neverEndsAMessage: {
    opened: (peer) => {
      const [id, length] = [
        [99, MIB],
        [MessageId.extended, 32 * 1024],
        [MessageId.bitfield, 1 + Math.ceil(peer.pieceCount / 8)],
      ][peer.dice(3)] as [number, number];
      peer.send(unfinished(id, length, length >> 1));
    },
  },
  speaksNonsense: {
    act: (peer) => {
      peer.send(Uint8Array.from({ length: 64 }, () => peer.dice(256)));
      return SECOND;
    },
  },
  leavesAtOnce: {
    act: (peer) => {
      peer.leave();
      return LONG_MS;
    },
  },
  storms: {
    storms: true,
    act: (peer) => {
      peer.leave();
      return LONG_MS;
    },
  },
  keepsAlive: {
    act: (peer) => {
      peer.send(...repeat(100, () => KEEP_ALIVE));
      return 100 + peer.dice(SECOND);
    },
  },
  /** A block comes, as slowly as it may without a pause that anybody would notice. */
  plainDrip: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      if (peer.owed.length === 0) peer.owed = blockStart(piece, begin, length, length);
    },
    act: (peer) => {
      peer.send(peer.owed.subarray(0, DRIP_BYTES));
      peer.owed = peer.owed.subarray(DRIP_BYTES);
      return 100;
    },
  },
  /** Brings what is asked for, wrong, of the first piece that it is asked for; refuses the rest, so that nobody is alone to blame. */
  spoilsOnePiece: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => {
      if (peer.owed.length > 0) peer.send(message(MessageId.reject, piece, begin, length));
      else peer.send(blockStart(piece, begin, length, length));
      peer.owed = KEEP_ALIVE;
    },
  },
  /** Chokes in the middle of what it was asked for, and begins again. */
  chokesWithRequests: {
    opened: pretendToSeed,
    requested: (peer) => peer.send(message(MessageId.choke), message(MessageId.unchoke)),
  },
  sendsUnasked: {
    opened: pretendToSeed,
    act: (peer) => {
      peer.send(blockStart(peer.dice(peer.pieceCount), 0, BLOCK_SIZE, BLOCK_SIZE));
      return SECOND;
    },
  },
  refusesUnasked: {
    act: (peer) => {
      peer.send(...repeat(500, () => blockRequest(peer, MessageId.reject)));
      return 100 + peer.dice(SECOND);
    },
  },
  cancelsUnasked: {
    opened: wish,
    act: (peer) => {
      peer.send(...repeat(500, () => blockRequest(peer, MessageId.cancel)));
      return 100 + peer.dice(SECOND);
    },
  },
  allowsEverything: {
    opened: (peer) => peer.send(message(MessageId.haveAll)),
    act: (peer) => {
      peer.send(...repeat(500, () => message(MessageId.allowedFast, peer.dice(peer.pieceCount))));
      return 100 + peer.dice(SECOND);
    },
  },
  /** Pieces that there are not, blocks that are too long, or of no length. */
  asksForNonsense: {
    opened: wish,
    act: (peer) => {
      const lengths = [0, BLOCK_SIZE + 1, MIB, 2 ** 31];
      peer.send(
        message(
          MessageId.request,
          peer.pieceCount - 1 + peer.dice(2),
          peer.dice(2 ** 31),
          lengths[peer.dice(4)] ?? 0,
        ),
      );
      return 100 + peer.dice(SECOND);
    },
  },
  /** Messages of ids that mean nothing, of 1 KiB each. */
  speaksUnknownly: {
    act: (peer) => {
      peer.send(...repeat(50, () => unfinished(30 + peer.dice(200), KIB, KIB - 1)));
      return 100 + peer.dice(SECOND);
    },
  },
  /** Calls all extensions that there may be, with nonsense. */
  callsExtensions: {
    opened: (peer) => peer.send(extensionHandshake(10)),
    act: (peer) => {
      peer.send(...repeat(50, () => extensionMessage(1 + peer.dice(8), randomBytes(peer, peer.dice(200)))));
      return 100 + peer.dice(SECOND);
    },
  },
  /** Asks for the info dictionary, again and again. */
  asksForMetadata: {
    opened: (peer) => peer.send(handshakeOf("d1:md11:ut_metadatai3eee")),
    act: (peer) => {
      const request = new TextEncoder().encode("d8:msg_typei0e5:piecei0ee");
      peer.send(...repeat(50, () => extensionMessage(1 + peer.dice(4), request)));
      return 100 + peer.dice(SECOND);
    },
  },
  /** The same, over one connection after the other. */
  fetchesMetadata: {
    storms: true,
    opened: (peer) => peer.send(handshakeOf("d1:md11:ut_metadatai3eee")),
    act: (peer) => {
      if (peer.isInABlock) peer.leave();
      const request = new TextEncoder().encode("d8:msg_typei0e5:piecei0ee");
      if (!peer.isInABlock) peer.send(...repeat(50, () => extensionMessage(1, request)));
      peer.isInABlock = true;
      return SECOND;
    },
  },
  /** A handshake of a thousand names, which are others each time. */
  renamesExtensions: {
    act: (peer) => {
      const first = peer.dice(1000);
      const names = Array.from({ length: 1000 }, (_, index) => `4:${1000 + first + index}i${index % 255}e`);
      peer.send(...repeat(8, () => handshakeOf(`d1:md${names.join("")}ee`)));
      return SECOND;
    },
  },
  /** Wants blocks, and wants none, many times a second. */
  flapsUploadOnly: {
    opened: wish,
    act: (peer) => {
      const flaps = Array.from({ length: 100 }, (_, index) => [
        extensionMessage(4, Uint8Array.of(index & 1)),
        handshakeOf(`d11:upload_onlyi${index & 1}ee`),
      ]);
      peer.send(...flaps.flat());
      return 100 + peer.dice(SECOND);
    },
  },
  /** Says that it has what nobody gave it, piece by piece, and takes what is shown to it by a super seed. */
  pretendsToSpread: {
    opened: wish,
    act: (peer) => {
      peer.send(message(MessageId.have, peer.dice(peer.pieceCount)), blockRequest(peer));
      return SECOND + peer.dice(SECOND);
    },
  },
  /** Names peers that there are not, thousands of them. */
  namesStrangers: {
    opened: (peer) => peer.send(handshakeOf("d1:md6:ut_pexi2eee")),
    act: (peer) => {
      const compact = randomBytes(peer, 6 * 100);
      for (let at = 0; at < compact.length; at += 6) compact[at] = 127;
      const head = new TextEncoder().encode(`d5:added${compact.length}:`);
      peer.send(extensionMessage(1 + peer.dice(4), Uint8Array.from([...head, ...compact, 101])));
      return SECOND + peer.dice(SECOND);
    },
  },
  saysNothing: { stranger: true },
  /** The key of an encryption handshake, as far as anybody can see, and no more. */
  stopsAfterItsKey: {
    stranger: true,
    act: (peer) => {
      peer.send(randomBytes(peer, KEY_BYTES));
      return 10 * LONG_MS;
    },
  },
  /** The same, and it is gone, and comes back with another. */
  stormsWithKeys: {
    stranger: true,
    act: (peer) => {
      if (peer.isInABlock) peer.leave();
      else peer.send(randomBytes(peer, KEY_BYTES));
      peer.isInABlock = true;
      return 100 + peer.dice(SECOND);
    },
  },
  dripsItsKey: {
    stranger: true,
    act: (peer) => {
      peer.send(randomBytes(peer, 1));
      return SECOND;
    },
  },
  /** A key, and padding without an end behind it. */
  padsWithoutEnd: {
    stranger: true,
    act: (peer) => {
      peer.send(randomBytes(peer, KEY_BYTES));
      return 200;
    },
  },
  dripsItsHandshake: {
    stranger: true,
    act: (peer) => {
      if (!peer.isInABlock) peer.owed = peer.handshake();
      peer.isInABlock = true;
      drip(peer);
      return SECOND;
    },
  },
  /** All but the last byte, and no more. */
  neverEndsItsHandshake: {
    stranger: true,
    act: (peer) => {
      peer.send(peer.handshake().subarray(0, -1));
      return 10 * LONG_MS;
    },
  },
} as const satisfies Record<string, Misbehaviour>;
