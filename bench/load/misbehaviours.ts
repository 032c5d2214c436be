// Ways in which a peer misbehaves, each small: what it says when it is let in, what it does from time to time, and how it answers a
// request. A crowd of them (load-crowd.ts) is what a session on the open network may meet all at once.
//
// Always: whatever is done costs the one that does it little. A crowd that is busy would be measured instead of whom it crowds.

import { BLOCK_SIZE, PIECE_HEADER_BYTES } from "../../src/base/limits.js";
import { writeUint32 } from "../../src/client/wire/encode.js";
import { MessageId } from "../../src/client/wire/messages.js";

/** One of the crowd, as its way to misbehave sees it. Numbers of dice are from 0 to below `sides`. */
export interface CrowdPeer {
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly totalLength: number;
  /** It has begun to send one, and not ended it. */
  isInABlock: boolean;
  dice(sides: number): number;
  send(...messages: readonly Uint8Array[]): void;
  leave(): void;
}

export interface Misbehaviour {
  /** It never reads what comes after the handshake. */
  readonly deaf?: boolean;
  /** It has not said its handshake, and what it does comes instead. */
  readonly stranger?: boolean;
  opened?(peer: CrowdPeer): void;
  /** Returns in how many milliseconds it wants to act again. */
  act?(peer: CrowdPeer): number;
  requested?(peer: CrowdPeer, piece: number, begin: number, length: number): void;
}

const KEEP_ALIVE = new Uint8Array(4);
const MIB = 1024 * 1024;
const SECOND = 1000;
const LONG_MS = 60 * SECOND;

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
  neverAnswers: { opened: pretendToSeed },
  refuses: {
    opened: pretendToSeed,
    requested: (peer, piece, begin, length) => peer.send(message(MessageId.reject, piece, begin, length)),
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
  keepsAlive: {
    act: (peer) => {
      peer.send(...repeat(100, () => KEEP_ALIVE));
      return 100 + peer.dice(SECOND);
    },
  },
  saysNothing: { stranger: true },
  dripsItsHandshake: {
    stranger: true,
    act: (peer) => {
      peer.send(Uint8Array.of(19));
      return LONG_MS;
    },
  },
} as const satisfies Record<string, Misbehaviour>;
