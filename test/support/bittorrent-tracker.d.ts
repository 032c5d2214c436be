// The part of the package bittorrent-tracker that the tests use; it comes without types.

declare module "bittorrent-tracker" {
  import type { EventEmitter } from "node:events";

  export interface ClientOptions {
    infoHash: string;
    peerId: string;
    announce: string[];
    port: number;
    wrtc?: unknown;
    getAnnounceOpts?: () => Record<string, unknown>;
  }

  /** Emits "update" and "scrape" with what the tracker said, "peer" with "host:port" or a connection, "warning" and "error". */
  export class Client extends EventEmitter {
    constructor(options: ClientOptions);
    start(options?: Record<string, unknown>): void;
    update(options?: Record<string, unknown>): void;
    complete(options?: Record<string, unknown>): void;
    stop(options?: Record<string, unknown>): void;
    scrape(): void;
    destroy(done?: () => void): void;
  }
}
