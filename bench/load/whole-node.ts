// A DHT node as programs have it, in a network of datagrams in memory.

import { Dht } from "../../src/dht/dht.js";
import type { DhtOptions } from "../../src/dht/options.js";
import type { SocketAddress } from "../../src/native/binding.js";
import { addressOf, type DhtNetwork } from "./dht-network.js";

/** From one host to the next, so that each has a /24 of its own. */
export const HOST_STEP = 257;
const PORT = 6881;

/** One of `count` virtual nodes, at as many hosts from `first` on. */
export function wholeNode(
  network: DhtNetwork,
  first: number,
  count: number,
  bootstrap: readonly SocketAddress[],
  more: DhtOptions = {},
): Dht {
  const listen = Array.from({ length: count }, (_, at) => ({
    host: addressOf(first + HOST_STEP * at),
    port: PORT,
  }));
  return new Dht(
    {
      listen,
      bootstrap,
      // Given, for else it would change once the node knows its address (BEP 42).
      id: Uint8Array.from({ length: 20 }, () => Math.floor(256 * network.random())),
      limitsNetworks: true,
      peerBytesMax: 2 ** 20,
      ...more,
    },
    network.world(),
  );
}
