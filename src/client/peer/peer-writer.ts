// Small messages, written straight into a connection's outbox. Each asks for a flush at the end of the turn.

import { REQUEST_MESSAGE_BYTES } from "../../base/limits.js";
import type { Outbox } from "../send/outbox.js";
import type { SendTransport } from "../send/sender.js";
import {
  encodeBitfield,
  encodeEmpty,
  encodeExtended,
  encodeHave,
  encodeKeepAlive,
  encodePieceIndex,
  encodePort,
  encodeRequest,
} from "../wire/encode.js";
import { MessageId } from "../wire/messages.js";

/** Largest of the messages without a body of variable length, in bytes. */
const SMALL_BYTES_MAX = REQUEST_MESSAGE_BYTES;
const BODY_OVERHEAD_BYTES = 6;

export class PeerWriter {
  readonly #outbox: Outbox;
  readonly #transport: SendTransport;

  constructor(outbox: Outbox, transport: SendTransport) {
    this.#outbox = outbox;
    this.#transport = transport;
  }

  keepAlive(): void {
    const at = this.#outbox.reserve(SMALL_BYTES_MAX);
    this.wrote(encodeKeepAlive(this.#outbox.bytes, at));
  }

  /** A message of an id alone: choke, unchoke, interested, not interested, have all, have none. */
  empty(id: number): void {
    const at = this.#outbox.reserve(SMALL_BYTES_MAX);
    this.wrote(encodeEmpty(this.#outbox.bytes, at, id));
  }

  have(piece: number): void {
    const at = this.#outbox.reserve(SMALL_BYTES_MAX);
    this.wrote(encodeHave(this.#outbox.bytes, at, piece));
  }

  /** BEP 6. */
  allowedFast(piece: number): void {
    const at = this.#outbox.reserve(SMALL_BYTES_MAX);
    this.wrote(encodePieceIndex(this.#outbox.bytes, at, MessageId.allowedFast, piece));
  }

  /** request, cancel or reject: they share a shape. */
  request(id: number, piece: number, begin: number, length: number): void {
    const at = this.#outbox.reserve(SMALL_BYTES_MAX);
    this.wrote(encodeRequest(this.#outbox.bytes, at, id, piece, begin, length));
  }

  bitfield(bits: Uint8Array): void {
    const at = this.#outbox.reserve(BODY_OVERHEAD_BYTES + bits.length);
    this.wrote(encodeBitfield(this.#outbox.bytes, at, bits));
  }

  extended(extendedId: number, payload: Uint8Array): void {
    const at = this.#outbox.reserve(BODY_OVERHEAD_BYTES + payload.length);
    this.wrote(encodeExtended(this.#outbox.bytes, at, extendedId, payload));
  }

  /** Where our node of the DHT receives (BEP 5). */
  port(port: number): void {
    const at = this.#outbox.reserve(BODY_OVERHEAD_BYTES + 2);
    this.wrote(encodePort(this.#outbox.bytes, at, port));
  }

  /** So many bytes were written behind what `reserve` of the outbox gave. */
  wrote(count: number): void {
    this.#outbox.wrote(count);
    this.#transport.scheduleFlush();
  }
}
