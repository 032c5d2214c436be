// What the tests use of the npm package bittorrent-dht, which comes without types.

declare module "bittorrent-dht" {
  import { EventEmitter } from "node:events";

  export default class BittorrentDht extends EventEmitter {
    constructor(options: { bootstrap: string[] | false; host?: string });
    listen(port: number, host: string, listening: () => void): void;
    announce(infoHash: Uint8Array, port: number, done: (error: Error | null) => void): void;
    lookup(infoHash: Uint8Array): void;
    destroy(done: () => void): void;
  }
}
