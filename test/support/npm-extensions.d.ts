// The parts of published extensions that the tests use; they come without types.

declare module "ut_metadata" {
  import type { EventEmitter } from "node:events";
  export default function make(metadata?: Uint8Array): new (wire: never) => EventEmitter & { fetch(): void };
}

declare module "ut_pex" {
  import type { EventEmitter } from "node:events";
  export default function make(): new (wire: never) => EventEmitter & { start(): void };
}

declare module "lt_donthave" {
  import type { EventEmitter } from "node:events";
  export default function make(): new (wire: never) => EventEmitter & { donthave(piece: number): void };
}
