// What is given to peers of the info dictionary of one torrent (BEP 9), and at which price: so many pieces of a connection, of its network and
// of its site in a while, and none while it reads nothing; where a limit holds what is sent, a part of that limit.
//
// Always: what waits for a peer is bounded by its price. Whoever waits for a limit has its turn, however often others ask meanwhile.

import { KIB } from "../../base/limits.js";
import { chargedTo, isLoopback } from "../../base/network-address.js";
import {
  encodeMetadataMessage,
  METADATA_PIECE_BYTES,
  MetadataMessageType,
} from "../wire/metadata-message.js";
import type { ExtensionPeer } from "./extension.js";

export const UT_METADATA = "ut_metadata";
/** Of each connection in SERVED_WINDOW_MS: the whole three times, and a few pieces where it is short. */
const SERVED_TIMES = 3;
const SERVED_MIN = 16;
const SERVED_WINDOW_MS = 60_000;
/** Times that, of all connections of a network, those included that are over: whoever comes again gets no more for it. Of a site more. */
const NETWORK_TIMES = 2;
const NETWORKS_MAX = 4096;
/** More requests of a connection than these are not refused in the same time, nor of all connections of its network, but go unanswered. */
const REFUSED_MAX = 256;
/** Of a limit on what is sent, this part is for metadata, and so much at once: blocks are not to wait for all that strangers ask for. */
const LIMIT_PART = 4;
const CREDIT_BYTES = 256 * KIB;
/** With so many bytes that it has not read, a peer waits for more. */
const WAITING_BYTES_MAX = 4 * METADATA_PIECE_BYTES;

/** The torrent, as far as what it gives goes. */
export interface ServingHost {
  readonly nowMs: number;
  /** The bytes, once they are known. */
  readonly info: Uint8Array | undefined;
}

/** Of a connection, a network, or a site. */
interface Account {
  sinceMs: number;
  /** Pieces since then, those that wait included. */
  pieces: number;
  /** Requests since then that were refused. */
  refused: number;
}

interface Served extends Account {
  readonly waiting: number[];
  readonly credit: Credit;
}

/** Bytes that may be sent under a limit now: they grow with time. */
class Credit {
  #bytes = CREDIT_BYTES;
  #atMs = 0;

  get isLeft(): boolean {
    return this.#bytes > 0;
  }

  earn(bytesPerSecond: number, nowMs: number): void {
    const earned = ((nowMs - this.#atMs) * bytesPerSecond) / (1000 * LIMIT_PART);
    this.#atMs = nowMs;
    this.#bytes = Math.min(CREDIT_BYTES, this.#bytes + earned);
  }

  take(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export class MetadataServing<Peer extends ExtensionPeer> {
  readonly #host: ServingHost;
  readonly #served = new WeakMap<Peer, Served>();
  /** By network and by site, those that asked last at the end. */
  readonly #servedNetworks = new Map<string, Account>();
  /** Those for whom pieces wait because of a limit, in their order. */
  readonly #held = new Set<Peer>();
  /** Of all connections that have a limit. */
  readonly #credit = new Credit();

  constructor(host: ServingHost) {
    this.#host = host;
  }

  /** The peer asks for a piece. */
  serve(peer: Peer, piece: number): void {
    const { info } = this.#host;
    const served = this.#servedTo(peer);
    const isKnown = info !== undefined && piece * METADATA_PIECE_BYTES < info.length;
    if (!isKnown || !this.#mayServe(peer, served, info)) {
      if (this.#mayRefuse(peer, served))
        peer.sendExtended(UT_METADATA, encodeMetadataMessage(MetadataMessageType.reject, piece));
      return;
    }
    served.waiting.push(piece);
    this.#answer(peer, served, info);
  }

  /** It has taken what waited for it. */
  drained(peer: Peer): void {
    const { info } = this.#host;
    const served = this.#served.get(peer);
    if (served !== undefined && info !== undefined) this.#answer(peer, served, info);
  }

  peerClosed(peer: Peer): void {
    this.#held.delete(peer);
  }

  /** Time passed: those that wait for a limit go on, in turn, as far as it goes. */
  tick(): void {
    const { info } = this.#host;
    if (this.#held.size === 0 || info === undefined) return;
    // Of several limits the highest: who has a lower one of its own holds up no other.
    let highest = 0;
    for (const { uploadLimit } of this.#held) highest = Math.max(highest, uploadLimit);
    this.#credit.earn(highest, this.#host.nowMs);
    for (const peer of [...this.#held]) {
      const served = this.#servedTo(peer);
      if (!this.#maySend(peer, served)) continue;
      this.#held.delete(peer);
      this.#send(peer, served, info);
    }
  }

  /** Behind those that wait for a limit, where there is one for the peer: whoever asks most often would else have all that it allows. */
  #answer(peer: Peer, served: Served, info: Uint8Array): void {
    if (peer.uploadLimit > 0) {
      if (this.#held.size > 0) {
        this.#held.add(peer);
        return;
      }
      this.#credit.earn(peer.uploadLimit, this.#host.nowMs);
    }
    this.#send(peer, served, info);
  }

  #send(peer: Peer, served: Served, info: Uint8Array): void {
    while (peer.bytesWaiting < WAITING_BYTES_MAX && served.waiting.length > 0) {
      if (!this.#maySend(peer, served)) {
        this.#held.add(peer);
        return;
      }
      const piece = served.waiting.shift();
      if (piece === undefined) return;
      const begin = piece * METADATA_PIECE_BYTES;
      const data = info.subarray(begin, begin + METADATA_PIECE_BYTES);
      const answer = encodeMetadataMessage(MetadataMessageType.data, piece, info.length, data);
      if (!peer.sendExtended(UT_METADATA, answer)) served.waiting.length = 0;
      else if (peer.uploadLimit > 0) {
        this.#credit.take(answer.length);
        served.credit.take(answer.length);
      }
    }
    if (served.waiting.length > 0) peer.tellWhenDrained();
  }

  /** True unless a limit holds what is sent to the peer, and its part of that is used up. */
  #maySend({ uploadLimit }: Peer, { credit }: Served): boolean {
    if (uploadLimit === 0) return true;
    credit.earn(uploadLimit, this.#host.nowMs);
    return credit.isLeft && this.#credit.isLeft;
  }

  #servedTo(peer: Peer): Served {
    const { nowMs } = this.#host;
    let served = this.#served.get(peer);
    if (served === undefined) {
      served = { sinceMs: nowMs, pieces: 0, refused: 0, waiting: [], credit: new Credit() };
      this.#served.set(peer, served);
    }
    if (nowMs - served.sinceMs >= SERVED_WINDOW_MS) {
      served.sinceMs = nowMs;
      served.pieces = served.waiting.length;
      served.refused = 0;
    }
    return served;
  }

  /** Counts one piece more, unless it is one too many. */
  #mayServe(peer: Peer, served: Served, info: Uint8Array): boolean {
    const most = Math.max(SERVED_MIN, SERVED_TIMES * Math.ceil(info.length / METADATA_PIECE_BYTES));
    if (served.pieces >= most) return false;
    const accounts = this.#networkAccounts(peer.host);
    if (accounts.some(({ account, times }) => account.pieces >= times * NETWORK_TIMES * most)) return false;
    served.pieces++;
    for (const { account } of accounts) account.pieces++;
    return true;
  }

  /** Counts one refusal more, unless it is one too many: they take what we may send to others. */
  #mayRefuse(peer: Peer, served: Served): boolean {
    if (served.refused >= REFUSED_MAX) return false;
    const accounts = this.#networkAccounts(peer.host);
    if (accounts.some(({ account, times }) => account.refused >= times * REFUSED_MAX)) return false;
    served.refused++;
    for (const { account } of accounts) account.refused++;
    return true;
  }

  /** None for this machine's own addresses, at which there may be anybody. */
  #networkAccounts(host: string): { account: Account; times: number }[] {
    if (isLoopback(host)) return [];
    return chargedTo(host).map(({ name, times }) => ({ account: this.#accountOf(name), times }));
  }

  #accountOf(name: string): Account {
    const { nowMs } = this.#host;
    const accounts = this.#servedNetworks;
    let account = accounts.get(name);
    if (account === undefined || nowMs - account.sinceMs >= SERVED_WINDOW_MS)
      account = { sinceMs: nowMs, pieces: 0, refused: 0 };
    accounts.delete(name);
    accounts.set(name, account);
    if (accounts.size > NETWORKS_MAX)
      for (const oldest of accounts.keys()) {
        accounts.delete(oldest);
        break;
      }
    return account;
  }
}
