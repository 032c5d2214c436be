// Takes apart what we sent in a recording: of all that, what changed what we expected of the peer, and what it might expect of us.
//
// Always: blocks that we sent are passed over, whether or not their bytes were kept; memory is that of one message at a time.

import { entryOf } from "../../base/assert.js";
import { HANDSHAKE_BYTES, MESSAGE_BYTES_MAX } from "../../base/limits.js";
import { readUint32 } from "../wire/decode.js";
import { MessageId } from "../wire/messages.js";
import { recordingError } from "./format.js";

const PREFIX_BYTES = 4;
const ID_BYTES = 1;

export class SentReader {
  /** A message under way, its length prefix included, or the handshake. */
  #gathered = Buffer.alloc(0);
  /** Bytes of a block that are passed over. */
  #skip = 0;
  #hasHandshake = false;
  readonly #told: (id: number, body: Buffer) => void;

  /** `told` hears of each message but blocks; the body is valid during the call. */
  constructor(told: (id: number, body: Buffer) => void) {
    this.#told = told;
  }

  /** Bytes that are not there. Throws UsageError `USAGE_RECORDING` where they are no block's. */
  pass(count: number): void {
    if (count > this.#skip) throw recordingError("bytes of a file are sent that are no block's", 0);
    this.#skip -= count;
  }

  /** Throws UsageError `USAGE_RECORDING` for what we cannot have sent. */
  feed(bytes: Buffer): void {
    let rest = this.#gathered.length === 0 ? bytes : Buffer.concat([this.#gathered, bytes]);
    for (;;) {
      const passed = Math.min(this.#skip, rest.length);
      this.#skip -= passed;
      rest = rest.subarray(passed);
      const length = this.#next(rest);
      if (length === 0) break;
      rest = rest.subarray(length);
    }
    this.#gathered = Buffer.from(rest);
  }

  /** Takes what stands at the front of `bytes`. Returns how many bytes it is; 0: not all of it is there. */
  #next(bytes: Buffer): number {
    if (!this.#hasHandshake) {
      if (bytes.length < HANDSHAKE_BYTES) return 0;
      this.#hasHandshake = true;
      return HANDSHAKE_BYTES;
    }
    if (bytes.length < PREFIX_BYTES) return 0;
    const length = readUint32(bytes, 0);
    if (length === 0) return PREFIX_BYTES;
    if (length > MESSAGE_BYTES_MAX) throw recordingError(`we sent a message of ${length} bytes`, 0);
    if (bytes.length < PREFIX_BYTES + ID_BYTES) return 0;
    const id = entryOf(bytes, PREFIX_BYTES);
    if (id === MessageId.piece) {
      this.#skip = length - ID_BYTES;
      return PREFIX_BYTES + ID_BYTES;
    }
    if (bytes.length < PREFIX_BYTES + length) return 0;
    this.#told(id, bytes.subarray(PREFIX_BYTES + ID_BYTES, PREFIX_BYTES + length));
    return PREFIX_BYTES + length;
  }
}
