// A peer that speaks BEP 15 over a real socket, for tests: one request after the other, sent again until it is answered.

import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import * as udp from "../../src/tracker/protocol/udp.js";

export interface AnnounceAnswer {
  readonly seeders: number;
  readonly leechers: number;
  /** "1.2.3.4:5" or, of IPv6, hex digits. */
  readonly peers: readonly string[];
}

export interface ScrapeEntry {
  readonly seeders: number;
  readonly downloads: number;
  readonly leechers: number;
}

const AGAIN_MS = 250;

export class UdpPeer {
  readonly #socket: Socket;
  readonly #tracker: { readonly host: string; readonly port: number };
  #transaction = 0;

  static async open(tracker: { host: string; port: number }, from?: string): Promise<UdpPeer> {
    const socket = createSocket(tracker.host.includes(":") ? "udp6" : "udp4");
    // What a socket hears of a tracker that is gone is an error of it; the request is sent again.
    socket.on("error", () => {});
    socket.bind(0, from);
    await once(socket, "listening");
    return new UdpPeer(socket, tracker);
  }

  private constructor(socket: Socket, tracker: { host: string; port: number }) {
    this.#socket = socket;
    this.#tracker = tracker;
  }

  async announce(
    hash: Uint8Array,
    port: number,
    how: { left?: number; event?: number; want?: number } = {},
  ): Promise<AnnounceAnswer> {
    const request = Buffer.alloc(udp.ANNOUNCE_REQUEST_BYTES);
    await this.#connect(request);
    request.writeUInt32BE(udp.ACTION_ANNOUNCE, udp.ACTION_AT);
    request.set(hash, udp.INFO_HASH_AT);
    request.writeUInt32BE(how.left ?? 1, udp.LEFT_AT + 4);
    request.writeUInt32BE(how.event ?? 0, udp.EVENT_AT);
    request.writeInt32BE(how.want ?? -1, udp.NUM_WANT_AT);
    request.writeUInt16BE(port, udp.PORT_AT);
    const answer = await this.#ask(request, udp.ACTION_ANNOUNCE);
    const size = this.#tracker.host.includes(":") ? 18 : 6;
    const peers: string[] = [];
    for (let at = udp.RESPONSE_PEERS_AT; at < answer.length; at += size) {
      const address = answer.subarray(at, at + size - 2);
      const text = size === 6 ? [...address].join(".") : address.toString("hex");
      peers.push(`${text}:${answer.readUInt16BE(at + size - 2)}`);
    }
    return { leechers: answer.readUInt32BE(12), seeders: answer.readUInt32BE(16), peers };
  }

  async scrape(hash: Uint8Array): Promise<ScrapeEntry> {
    const request = Buffer.alloc(udp.SCRAPE_HASHES_AT + hash.length);
    await this.#connect(request);
    request.writeUInt32BE(udp.ACTION_SCRAPE, udp.ACTION_AT);
    request.set(hash, udp.SCRAPE_HASHES_AT);
    const answer = await this.#ask(request, udp.ACTION_SCRAPE);
    return {
      seeders: answer.readUInt32BE(8),
      downloads: answer.readUInt32BE(12),
      leechers: answer.readUInt32BE(16),
    };
  }

  close(): void {
    this.#socket.close();
  }

  /** Puts a connection id, fresh for each request, into it. */
  async #connect(request: Buffer): Promise<void> {
    const connect = Buffer.alloc(udp.CONNECT_REQUEST_BYTES);
    udp.writeConnectRequest(new DataView(connect.buffer, connect.byteOffset, connect.length), 0, 0);
    const answer = await this.#ask(connect, udp.ACTION_CONNECT);
    answer.copy(
      request,
      udp.CONNECTION_ID_AT,
      udp.RESPONSE_CONNECTION_ID_AT,
      udp.RESPONSE_CONNECTION_ID_AT + 8,
    );
  }

  async #ask(request: Buffer, action: number): Promise<Buffer> {
    const transaction = ++this.#transaction;
    request.writeUInt32BE(transaction, udp.TRANSACTION_AT);
    const { host, port } = this.#tracker;
    const answered = new Promise<Buffer>((resolve) => {
      const look = (answer: Buffer): void => {
        if (answer.length < 8 || answer.readUInt32BE(4) !== transaction) return;
        this.#socket.off("message", look);
        resolve(answer);
      };
      this.#socket.on("message", look);
    });
    const again = setInterval(() => this.#socket.send(request, port, host), AGAIN_MS);
    this.#socket.send(request, port, host);
    const answer = await answered;
    clearInterval(again);
    assert.equal(answer.readUInt32BE(0), action);
    return answer;
  }
}
