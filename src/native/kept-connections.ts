// Connections over HTTP and HTTPS that are kept for the next request: how many there are at one time, and what their servers may do meanwhile.
//
// Always: of one agent no more than KEPT_MAX wait for a next request, whoever they lead to, and the one that has waited longest goes first:
// each redirect may lead to another port of one machine, and each connection is a descriptor. One over which anything comes while
// nobody has asked is closed: Node.js throws such bytes away, as fast as they come and for as long, and each puts off the agent's time-out.

import type { Agent } from "node:http";
import type { Duplex } from "node:stream";

const KEPT_MAX = 64;

class KeptConnections {
  /** The one that has waited longest first. */
  readonly #waiting = new Set<Duplex>();
  readonly #closed: (this: Duplex) => void;

  constructor() {
    const waiting = this.#waiting;
    this.#closed = function closed(): void {
      waiting.delete(this);
    };
  }

  keep(socket: Duplex): void {
    socket.on("data", endUnasked).on("close", this.#closed);
    this.#waiting.add(socket);
    if (this.#waiting.size <= KEPT_MAX) return;
    for (const oldest of this.#waiting) {
      this.#waiting.delete(oldest);
      oldest.destroy();
      return;
    }
  }

  reuse(socket: Duplex): void {
    socket.off("data", endUnasked).off("close", this.#closed);
    this.#waiting.delete(socket);
  }
}

function endUnasked(this: Duplex): void {
  this.destroy();
}

/** Bounds what an agent keeps; it is the same agent. */
export function boundKept<Kind extends Agent>(agent: Kind): Kind {
  const kept = new KeptConnections();
  const { keepSocketAlive, reuseSocket } = agent;
  agent.keepSocketAlive = (socket): boolean => {
    // Node.js says whether the connection may be kept, which its types leave out.
    const mayBeKept: unknown = keepSocketAlive.call(agent, socket);
    if (mayBeKept === true) kept.keep(socket);
    return mayBeKept === true;
  };
  agent.reuseSocket = (socket, request): void => {
    kept.reuse(socket);
    reuseSocket.call(agent, socket, request);
  };
  return agent;
}
