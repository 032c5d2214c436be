// Peers of the same network, by multicast (BEP 14): who is here says so, and hears the others.
//
//   BT-SEARCH * HTTP/1.1 ⏎ Host: 239.192.152.143:6771 ⏎ Port: 6881 ⏎ Infohash: … ⏎ Infohash: … ⏎ cookie: … ⏎ ⏎ ⏎
//
// Always: each torrent is told of once in ANNOUNCE_MS, and at most one datagram a second is sent for each kind of address; of what is
// heard HEARD_PER_SECOND_MAX datagrams are looked at, of one address HEARD_OF_ADDRESS_MAX of them, each in time linear in its length; where
// more come than any network has to say, nothing is received for REST_MS; a peer counts only if it is in our network or on this machine,
// whatever it says; what we said ourselves is passed over, by its cookie. Where there is no multicast nothing happens.

import { createSocket, type Socket } from "node:dgram";
import type { Ground } from "../../base/ground.js";
import { scopeOf } from "../../base/network-address.js";
import type { PeerSink, PeerSource } from "../torrent/peer-source.js";

export interface LocalPeersOptions {
  readonly ground: Ground;
  /** Where we accept connections; undefined: for that kind of address nobody is told. */
  readonly ports: () => { readonly v4: number | undefined; readonly v6: number | undefined };
  /** Of the groups; 6771 but in tests. */
  readonly port?: number;
  /** Addresses of the interface to use; by default the system chooses. */
  readonly interfaceV4?: string;
}

const GROUP_V4 = "239.192.152.143";
const GROUP_V6 = "ff15::efc0:988f";
const PORT = 6771;
const ANNOUNCE_MS = 5 * 60_000;
/** Torrents that began together do not stay so. */
const SPREAD = 0.2;
const SEND_MS = 1000;
const HEARD_PER_SECOND_MAX = 100;
/** So that one that floods fills nobody else's places: several programs of a machine, each of which says one a second. */
const HEARD_OF_ADDRESS_MAX = 10;
/** From here on it is a flood: to receive a datagram costs Node.js five microseconds, looked at or not. */
const FLOOD_PER_SECOND = 1000;
const REST_MS = 10_000;
const MESSAGE_BYTES_MAX = 1400;
/** Torrents of one datagram: their lines, and what stands around them, are shorter than a frame. */
const HASHES_MAX = 20;
const ORIGIN: PeerSource = { origin: "local" };

interface Entry {
  readonly sink: PeerSink;
  readonly hex: string;
  dueMs: number;
}

interface Group {
  readonly socket: Socket;
  readonly address: string;
  readonly family: 4 | 6;
}

export class LocalPeers {
  readonly #options: LocalPeersOptions;
  readonly #port: number;
  readonly #entries = new Map<string, Entry>();
  readonly #cookie: string;
  readonly #groups: Group[] = [];
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #heardSinceMs = 0;
  #received = 0;
  #heard = 0;
  /** Of this second, by address. */
  readonly #heardOf = new Map<string, number>();
  /** Until when nothing is received, and nothing said. */
  #restsUntilMs: number | undefined;

  constructor(options: LocalPeersOptions) {
    this.#options = options;
    this.#port = options.port ?? PORT;
    const cookie = new Uint8Array(8);
    options.ground.fillRandom(cookie, 0);
    this.#cookie = Buffer.from(cookie).toString("hex");
    this.#openAll();
  }

  /** From now on others hear of this torrent, and it of them. */
  add(infoHash: Uint8Array, sink: PeerSink): void {
    const hex = Buffer.from(infoHash).toString("hex");
    this.#entries.set(hex, { sink, hex, dueMs: this.#options.ground.nowMs() });
  }

  remove(infoHash: Uint8Array): void {
    this.#entries.delete(Buffer.from(infoHash).toString("hex"));
  }

  /** Time passed; about once a second. */
  tick(): void {
    const { ground } = this.#options;
    const now = ground.nowMs();
    if (this.#restsUntilMs !== undefined) {
      if (now < this.#restsUntilMs) return;
      this.#restsUntilMs = undefined;
      this.#openAll();
    }
    if (now - this.#sentAtMs < SEND_MS) return;
    const due: string[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.dueMs > now) continue;
      due.push(entry.hex);
      entry.dueMs = now + ANNOUNCE_MS * (1 + SPREAD * ground.random());
      if (due.length === HASHES_MAX) break;
    }
    if (due.length === 0) return;
    this.#sentAtMs = now;
    for (const group of this.#groups) this.#say(group, due);
  }

  close(): void {
    this.#closeAll();
    this.#entries.clear();
  }

  #openAll(): void {
    this.#open(4, GROUP_V4);
    this.#open(6, GROUP_V6);
  }

  #closeAll(): void {
    for (const { socket } of this.#groups.splice(0)) socket.close();
  }

  #open(family: 4 | 6, address: string): void {
    const socket = createSocket({
      type: family === 4 ? "udp4" : "udp6",
      reuseAddr: true,
      ipv6Only: family === 6,
    });
    const group: Group = { socket, address, family };
    const isGone = (): void => {
      const at = this.#groups.indexOf(group);
      if (at < 0) return;
      this.#groups.splice(at, 1);
      socket.close();
    };
    this.#groups.push(group);
    socket.unref();
    // No such kind of address, no multicast, a port that is taken: then there are no local peers of that kind.
    socket.on("error", isGone);
    socket.on("message", (message, from) => this.#hear(message, from.address));
    socket.bind(this.#port, () => {
      try {
        const { interfaceV4 } = this.#options;
        socket.setMulticastLoopback(true);
        if (family === 4 && interfaceV4 !== undefined) socket.setMulticastInterface(interfaceV4);
        socket.addMembership(address, family === 4 ? interfaceV4 : undefined);
      } catch {
        isGone();
      }
    });
  }

  #say({ socket, address, family }: Group, hashes: readonly string[]): void {
    const { v4, v6 } = this.#options.ports();
    const port = family === 4 ? v4 : v6;
    if (port === undefined) return;
    const host = family === 4 ? address : `[${address}]`;
    const lines = [
      "BT-SEARCH * HTTP/1.1",
      `Host: ${host}:${this.#port}`,
      `Port: ${port}`,
      ...hashes.map((hex) => `Infohash: ${hex}`),
      `cookie: ${this.#cookie}`,
    ];
    // What cannot be sent is not heard: nobody waits for it.
    socket.send(`${lines.join("\r\n")}\r\n\r\n\r\n`, this.#port, address, () => {});
  }

  #hear(message: Buffer, host: string): void {
    const now = this.#options.ground.nowMs();
    if (now - this.#heardSinceMs >= SEND_MS) {
      this.#heardSinceMs = now;
      this.#received = 0;
      this.#heard = 0;
      this.#heardOf.clear();
    }
    if (++this.#received > FLOOD_PER_SECOND) {
      this.#restsUntilMs = now + REST_MS;
      this.#closeAll();
      return;
    }
    const heardOf = (this.#heardOf.get(host) ?? 0) + 1;
    this.#heardOf.set(host, heardOf);
    if (heardOf > HEARD_OF_ADDRESS_MAX || ++this.#heard > HEARD_PER_SECOND_MAX) return;
    const said = parseSearch(message);
    const scope = scopeOf(host);
    if (said === undefined || said.cookie === this.#cookie || (scope !== "site" && scope !== "machine"))
      return;
    for (const hex of said.hashes) this.#entries.get(hex)?.sink.bring(ORIGIN, [{ host, port: said.port }]);
  }
}

/** What one said that searches for others; undefined for anything else. */
export function parseSearch(
  message: Uint8Array,
): { port: number; hashes: readonly string[]; cookie: string | undefined } | undefined {
  if (message.length > MESSAGE_BYTES_MAX) return undefined;
  const [first, ...lines] = Buffer.from(message).toString("latin1").split("\r\n");
  if (first !== "BT-SEARCH * HTTP/1.1") return undefined;
  let port = 0;
  let cookie: string | undefined;
  const hashes = new Set<string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const key = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (key === "port" && /^\d{1,5}$/.test(value)) port = Number(value);
    else if (key === "cookie") cookie = value;
    else if (key === "infohash" && /^[0-9a-f]{40}$/i.test(value)) hashes.add(value.toLowerCase());
  }
  const isRight = port >= 1 && port <= 65_535 && hashes.size > 0 && hashes.size <= HASHES_MAX;
  return isRight ? { port, hashes: [...hashes], cookie } : undefined;
}
