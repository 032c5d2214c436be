// The extension ut_pex of one torrent (BEP 11): peers tell each other whom they are connected to.
//
// Who is here is one list for all connections, in the order in which they came; a connection holds only how far in it the other side was
// told. So telling costs what is new, and a peer that is told nothing holds three numbers.
//
// Always: nothing is told or taken of a private torrent (BEP 27); a peer is told at most every TELL_MS, ADDED_MAX peers at a time; what
// a peer tells counts as often as one message in HEAR_MS, HEARD_MAX addresses of each; nobody names addresses nearer than itself, and
// nobody is told of those.

import { entryOf } from "../../base/assert.js";
import { type AddressScope, mayNameScope, scopeOf } from "../../base/network-address.js";
import {
  decodePeerExchange,
  type ExchangedPeer,
  ExchangeFlag,
  encodePeerExchange,
} from "../wire/peer-exchange-message.js";
import type { Extension, ExtensionPeer } from "./extension.js";

export const UT_PEX = "ut_pex";
/** Some clients end connections that tell more often than once in a minute. */
const TELL_MS = 65_000;
const ADDED_MAX = 50;
const DROPPED_MAX = 50;
/** What is told more often is not looked at. The first few may come at once. */
const HEAR_MS = 30_000;
const HEAR_AT_ONCE = 3;
const HEARD_MAX = 100;
const MESSAGE_BYTES_MAX = 16 * 1024;

export interface ExchangePeer extends ExtensionPeer {
  readonly incoming: boolean;
  /** It has everything, or wants nothing. */
  readonly isSeed: boolean;
}

export interface ExchangeHost {
  readonly nowMs: number;
  /** Addresses that may be connected to, and who named them. */
  bring(addresses: readonly { host: string; port: number }[], teller: string): void;
}

interface Entry<Peer> {
  readonly peer: Peer;
  readonly host: string;
  readonly port: number;
  /** Who can reach it. */
  readonly scope: AddressScope | undefined;
  /** When it came, counted in comings and goings. */
  readonly cameAt: number;
}

interface Gone {
  readonly host: string;
  readonly port: number;
  readonly scope: AddressScope | undefined;
  readonly cameAt: number;
  readonly leftAt: number;
}

interface Listener {
  /** What the peer was told reaches to here. */
  toldAt: number;
  nextMs: number;
  /** Of what it told: messages that may come now, and since when that is so. */
  allowance: number;
  allowedMs: number;
}

export class PeerExchange<Peer extends ExchangePeer> implements Extension<Peer> {
  readonly name = UT_PEX;
  readonly bytesMax = MESSAGE_BYTES_MAX;
  readonly #host: ExchangeHost;
  /** Connections of which an address is known, the last ones that came at the end. */
  readonly #here = new Map<Peer, Entry<Peer>>();
  #inOrder: Entry<Peer>[] = [];
  readonly #gone: Gone[] = [];
  readonly #listeners = new Map<Peer, Listener>();
  #changes = 0;
  /** Private torrents, and those of which it is not known yet whether they are, tell nobody. */
  #tells: boolean;
  #isOff = false;

  constructor(host: ExchangeHost, tells: boolean) {
    this.#host = host;
    this.#tells = tells;
  }

  get isOff(): boolean {
    return this.#isOff;
  }

  /** It is known now whether the torrent is private. */
  decide(isPrivate: boolean): void {
    this.#isOff = isPrivate;
    this.#tells = !isPrivate;
    if (isPrivate) this.#listeners.clear();
  }

  handshakeReceived(peer: Peer): void {
    if (this.#isOff || this.#listeners.has(peer)) return;
    const { nowMs } = this.#host;
    this.#listeners.set(peer, { toldAt: 0, nextMs: nowMs, allowance: HEAR_AT_ONCE, allowedMs: nowMs });
  }

  messageReceived(peer: Peer, bytes: Uint8Array, at: number, length: number): void {
    const listener = this.#listeners.get(peer);
    if (listener === undefined || !this.#mayTell(listener)) return;
    const told = decodePeerExchange(bytes.subarray(at, at + length), HEARD_MAX);
    const scope = scopeOf(peer.host);
    const near = told.filter(({ host }) => mayNameScope(scope, scopeOf(host)));
    this.#host.bring(near, peer.host);
  }

  #mayTell(listener: Listener): boolean {
    const { nowMs } = this.#host;
    const earned = Math.trunc((nowMs - listener.allowedMs) / HEAR_MS);
    listener.allowedMs += earned * HEAR_MS;
    listener.allowance = Math.min(HEAR_AT_ONCE, listener.allowance + earned);
    if (listener.allowance === 0) return false;
    listener.allowance--;
    return true;
  }

  /** The peer is here, at an address at which it accepts connections. */
  peerReachable(peer: Peer): void {
    if (this.#isOff || this.#here.has(peer) || peer.listenPort === 0) return;
    const { host, listenPort: port } = peer;
    const entry = { peer, host, port, scope: scopeOf(host), cameAt: ++this.#changes };
    this.#here.set(peer, entry);
    this.#inOrder.push(entry);
  }

  peerClosed(peer: Peer): void {
    this.#listeners.delete(peer);
    const entry = this.#here.get(peer);
    if (entry === undefined) return;
    this.#here.delete(peer);
    if (this.#inOrder.length > 2 * this.#here.size + ADDED_MAX)
      this.#inOrder = this.#inOrder.filter((each) => this.#here.get(each.peer) === each);
    const { host, port, scope, cameAt } = entry;
    this.#gone.push({ host, port, scope, cameAt, leftAt: ++this.#changes });
    if (this.#gone.length > 2 * DROPPED_MAX) this.#gone.splice(0, DROPPED_MAX);
  }

  /** Time passed; about once a second. */
  tick(): void {
    if (!this.#tells || this.#listeners.size === 0) return;
    const { nowMs } = this.#host;
    for (const [peer, listener] of this.#listeners) {
      if (nowMs < listener.nextMs || listener.toldAt === this.#changes) continue;
      this.#tell(peer, listener);
      listener.nextMs = nowMs + TELL_MS;
    }
  }

  #tell(peer: Peer, listener: Listener): void {
    const { toldAt } = listener;
    const scope = scopeOf(peer.host);
    const added: ExchangedPeer[] = [];
    // Of more than fit, those that came last: they are here longest.
    for (let index = this.#inOrder.length - 1; index >= 0 && added.length < ADDED_MAX; index--) {
      const entry = entryOf(this.#inOrder, index);
      if (entry.cameAt <= toldAt) break;
      if (entry.peer === peer || this.#here.get(entry.peer) !== entry) continue;
      if (!mayNameScope(scope, entry.scope)) continue;
      added.push({ host: entry.host, port: entry.port, flags: flagsOf(entry.peer) });
    }
    const dropped = this.#gone
      .filter(({ cameAt, leftAt }) => leftAt > toldAt && cameAt <= toldAt)
      .filter((each) => mayNameScope(scope, each.scope))
      .slice(-DROPPED_MAX);
    listener.toldAt = this.#changes;
    if (added.length + dropped.length > 0) peer.sendExtended(UT_PEX, encodePeerExchange(added, dropped));
  }
}

function flagsOf(peer: ExchangePeer): number {
  return (peer.isSeed ? ExchangeFlag.uploadOnly : 0) | (peer.incoming ? 0 : ExchangeFlag.reachable);
}
