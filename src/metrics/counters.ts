// What receiving and sending cost, counted where it happens. Plain numbers, summed when a connection ends.

/** Of one connection, or summed. All are totals since the start. */
export interface TransferCounters {
  /** readv calls on the socket, those that would have blocked included. */
  receiveCalls: number;
  receiveWouldBlocks: number;
  /** All bytes from the socket, and those that were payload of blocks. */
  receivedBytes: number;
  payloadBytes: number;
  /** Payload of blocks nobody wanted (any more). */
  wastedBytes: number;
  blocksReceived: number;
  /** Payload bytes moved in user space between socket and the block's place. */
  bytesCopied: number;
  /** Predicted blocks that bytes arrived for: at the predicted place, and elsewhere. */
  predictionHits: number;
  predictionMisses: number;
  /** writev and sendfile calls on the socket, those that would have blocked included. */
  sendCalls: number;
  sendWouldBlocks: number;
  sentBytes: number;
  sentPayloadBytes: number;
  blocksSent: number;
}

export function makeCounters(): TransferCounters {
  return {
    receiveCalls: 0,
    receiveWouldBlocks: 0,
    receivedBytes: 0,
    payloadBytes: 0,
    wastedBytes: 0,
    blocksReceived: 0,
    bytesCopied: 0,
    predictionHits: 0,
    predictionMisses: 0,
    sendCalls: 0,
    sendWouldBlocks: 0,
    sentBytes: 0,
    sentPayloadBytes: 0,
    blocksSent: 0,
  };
}

const KEYS = Object.keys(makeCounters()) as (keyof TransferCounters)[];

/** Adds `part` to `sum`, key by key. */
export function addCounters(sum: TransferCounters, part: Readonly<TransferCounters>): void {
  for (const key of KEYS) sum[key] += part[key];
}
