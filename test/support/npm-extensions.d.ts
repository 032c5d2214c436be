// The parts of published extensions, and of the wire that they were written for, that the tests use; they come without types.

declare module "ut_metadata" {
  import type { EventEmitter } from "node:events";

  interface UtMetadata extends EventEmitter {
    /** The info dictionary, once it is here; before that what has come of it. */
    readonly metadata?: Uint8Array;
    fetch(): void;
    cancel(): void;
    setMetadata(metadata: Uint8Array): Promise<boolean>;
  }
  export default function make(metadata?: Uint8Array): new (wire: never) => UtMetadata;
}

declare module "ut_pex" {
  import type { EventEmitter } from "node:events";

  type Flags = Readonly<Record<string, boolean>>;
  interface UtPex extends EventEmitter {
    start(): void;
    stop(): void;
    addPeer(address: string, flags?: Flags): void;
    addPeer6(address: string, flags?: Flags): void;
    dropPeer(address: string): void;
    dropPeer6(address: string): void;
  }
  export default function make(): new (wire: never) => UtPex;
}

declare module "lt_donthave" {
  import type { EventEmitter } from "node:events";

  interface LtDontHave extends EventEmitter {
    donthave(piece: number): void;
  }
  export default function make(): new (wire: never) => LtDontHave;
}

declare module "bittorrent-protocol" {
  import type { Duplex } from "node:stream";
  export default class Wire extends Duplex {
    /** Whether the other side has the extension, by its name. */
    readonly peerExtendedMapping: Readonly<Record<string, number>>;
    use(Extension: new (wire: never) => object): void;
    handshake(infoHash: Uint8Array, peerId: Uint8Array): void;
    unchoke(): void;
    have(piece: number): void;
  }
}
