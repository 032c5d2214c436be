// What receiving and sending cost, counted where it happens. Plain numbers, summed when a connection ends.

/** Of one connection, or summed. All are totals since the start. */
export interface TransferCounters {
  /** readv calls on the socket, those that would have blocked included. */
  receiveCalls: number;
  /** Of the receiving calls, those that brought nothing. */
  receiveWouldBlocks: number;
  /** All bytes from the socket, and those that were payload of blocks. */
  receivedBytes: number;
  /** Bytes of blocks that came. */
  payloadBytes: number;
  /** Payload of blocks nobody wanted (any more). */
  wastedBytes: number;
  /** Blocks that came whole. */
  blocksReceived: number;
  /** Payload bytes moved in user space between socket and the block's place. */
  bytesCopied: number;
  /** Predicted blocks that bytes arrived for: at the predicted place, and elsewhere. */
  predictionHits: number;
  /** Predicted places of blocks that bytes reached otherwise. */
  predictionMisses: number;
  /** writev and sendfile calls on the socket, those that would have blocked included. */
  sendCalls: number;
  /** Of the sending calls, those that took nothing. */
  sendWouldBlocks: number;
  /** All that was sent, messages included. */
  sentBytes: number;
  /** Of that, bytes of blocks. */
  sentPayloadBytes: number;
  /** Blocks that were sent whole. */
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

// Byte counts outgrow V8's small integers after 2 GiB. A field that does so for the first time changes the shape of all
// objects like it, and throws away the compiled code of the whole hot path: so it happens here, once, before there is any.
const grown = makeCounters();
grown.receivedBytes = grown.payloadBytes = grown.wastedBytes = grown.bytesCopied = 2 ** 40;
grown.sentBytes = grown.sentPayloadBytes = 2 ** 40;

const KEYS = Object.keys(makeCounters()) as (keyof TransferCounters)[];

/** Adds `part` to `sum`, key by key. */
export function addCounters(sum: TransferCounters, part: Readonly<TransferCounters>): void {
  for (const key of KEYS) sum[key] += part[key];
}
