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
    static scrape(
      options: { announce: string[]; infoHash: string | Buffer | (string | Buffer)[] },
      done: (error: Error | null, results: unknown) => void,
    ): Client;
    constructor(options: ClientOptions);
    start(options?: Record<string, unknown>): void;
    update(options?: Record<string, unknown>): void;
    complete(options?: Record<string, unknown>): void;
    stop(options?: Record<string, unknown>): void;
    scrape(): void;
    destroy(done?: () => void): void;
  }

  export interface ServerOptions {
    udp?: boolean;
    http?: boolean;
    ws?: boolean;
    stats?: boolean;
    interval?: number;
  }

  export interface Listening {
    address(): { address: string; port: number };
  }

  export class Server extends EventEmitter {
    readonly http?: Listening;
    readonly udp4?: Listening;
    readonly udp6?: Listening;
    constructor(options?: ServerOptions);
    listen(port: number, hosts: { http: string; udp: string; udp6: string }, onListening?: () => void): void;
    close(done?: () => void): void;
  }
}
