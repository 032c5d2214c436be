// The messages of the peer wire protocol: their ids, and how long each may be. encode.ts writes by this table and
// decode.ts checks by it, so that the two cannot disagree.
//
//   ├ length (4) ─┼ id (1) ─┼ body (length − 1) ─┤        a length of 0 is a keep-alive: no id, no body (BEP 3)
//
// Always: MESSAGE_BODIES has an entry for every id of MessageId and for no other.

import { assert } from "../../base/assert.js";
import { MESSAGE_HEADER_BYTES, PIECE_HEADER_BYTES, REQUEST_MESSAGE_BYTES } from "../../base/limits.js";

/** The byte behind the length prefix. BEP 3 but where another is named. */
export const MessageId = {
  choke: 0,
  unchoke: 1,
  interested: 2,
  notInterested: 3,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  /** BEP 5. */
  port: 9,
  /** BEP 6, as are haveAll, haveNone, reject and allowedFast. */
  suggest: 13,
  haveAll: 14,
  haveNone: 15,
  reject: 16,
  allowedFast: 17,
  /** BEP 10. */
  extended: 20,
} as const;
export type MessageId = (typeof MessageId)[keyof typeof MessageId];

/** Bytes behind the id: of an id alone; a piece; a piece, begin and length; a port. */
export const EMPTY_BODY_BYTES = 0;
export const INDEX_BODY_BYTES = 4;
export const REQUEST_BODY_BYTES = 12;
export const PORT_BODY_BYTES = 2;
/** Bytes behind the id and before the payload: piece and begin; the extended id. */
export const PIECE_BODY_BYTES_MIN = 8;
export const EXTENDED_BODY_BYTES_MIN = 1;

export interface MessageBody {
  /** As the BEP calls the message. */
  readonly name: string;
  /** Bytes behind the id; where `isVariable`, at least so many. */
  readonly bytes: number;
  readonly isVariable: boolean;
}

/** By id. Ids that are missing here are unknown to us, and are skipped when they come. */
export const MESSAGE_BODIES: readonly (MessageBody | undefined)[] = makeTable([
  [MessageId.choke, "choke", EMPTY_BODY_BYTES, false],
  [MessageId.unchoke, "unchoke", EMPTY_BODY_BYTES, false],
  [MessageId.interested, "interested", EMPTY_BODY_BYTES, false],
  [MessageId.notInterested, "not interested", EMPTY_BODY_BYTES, false],
  [MessageId.have, "have", INDEX_BODY_BYTES, false],
  [MessageId.bitfield, "bitfield", 0, true],
  [MessageId.request, "request", REQUEST_BODY_BYTES, false],
  [MessageId.piece, "piece", PIECE_BODY_BYTES_MIN, true],
  [MessageId.cancel, "cancel", REQUEST_BODY_BYTES, false],
  [MessageId.port, "port", PORT_BODY_BYTES, false],
  [MessageId.suggest, "suggest piece", INDEX_BODY_BYTES, false],
  [MessageId.haveAll, "have all", EMPTY_BODY_BYTES, false],
  [MessageId.haveNone, "have none", EMPTY_BODY_BYTES, false],
  [MessageId.reject, "reject request", REQUEST_BODY_BYTES, false],
  [MessageId.allowedFast, "allowed fast", INDEX_BODY_BYTES, false],
  [MessageId.extended, "extended", EXTENDED_BODY_BYTES_MIN, true],
]);

function makeTable(
  rows: readonly (readonly [id: number, name: string, bytes: number, isVariable: boolean])[],
): (MessageBody | undefined)[] {
  const table = new Array<MessageBody | undefined>(MessageId.extended + 1).fill(undefined);
  for (const [id, name, bytes, isVariable] of rows) table[id] = { name, bytes, isVariable };
  return table;
}

assert(
  MESSAGE_HEADER_BYTES + PIECE_BODY_BYTES_MIN === PIECE_HEADER_BYTES,
  "both say what precedes a payload",
);
assert(MESSAGE_HEADER_BYTES + REQUEST_BODY_BYTES === REQUEST_MESSAGE_BYTES, "both say how long a request is");
assert(
  Object.values(MessageId).every((id) => MESSAGE_BODIES[id] !== undefined),
  "every message has its entry",
);
