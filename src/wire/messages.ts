// The messages of the peer wire protocol: their ids and the length of their bodies.

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
