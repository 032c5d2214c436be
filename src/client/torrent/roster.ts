// Who is here: the connections of one torrent, who may join them, who is dialled, and what is remembered of each peer beyond
// its connection.
//
//   known address ──dial──▶ being made ──both handshakes, admit()──▶ here ──▶ gone (peerClosed), dialled again when due
//   incoming connection ───────────────────────admit()──────────────▲
//
// Always: a peer is here once, and has a record as long as it is; a banned one is never admitted.

import { PeerError } from "../../base/errors.js";
import type { PeerAddress, ReceiveModeName } from "../options.js";
import type { PeerConnection, PeerSettings } from "../peer/peer-connection.js";
import type { Attribution, PeerRecord } from "./attribution.js";
import { type KnownPeer, PeerList } from "./peer-list.js";

/** The torrent and its session, as far as connections go. */
export interface RosterHost {
  /** True if connections are wanted, and one more may be begun now. */
  readonly mayConnect: boolean;
  readonly nowMs: number;
  /** Begins a connection. Its end is told through peerClosed(), later. */
  connect(host: string, port: number, receiveMode: ReceiveModeName | undefined): PeerConnection;
  settingsOf(receiveMode: ReceiveModeName): PeerSettings;
}

export class Roster {
  readonly #host: RosterHost;
  readonly #attribution: Attribution;
  readonly #list = new PeerList();
  readonly #here = new Set<PeerConnection>();
  readonly #outgoing = new Map<PeerConnection, KnownPeer>();
  readonly #records = new Map<PeerConnection, PeerRecord>();

  constructor(host: RosterHost, attribution: Attribution) {
    this.#host = host;
    this.#attribution = attribution;
  }

  /** Those that were admitted and have not ended. */
  get here(): ReadonlySet<PeerConnection> {
    return this.#here;
  }

  /** Of a peer that is here. */
  recordOf(peer: PeerConnection): PeerRecord | undefined {
    return this.#records.get(peer);
  }

  /** An address to connect to, now or when there is room; one that was given up has another chance. */
  add({ host, port }: PeerAddress, receiveMode: ReceiveModeName | undefined): void {
    const known = this.#list.add(host, port);
    if (receiveMode !== undefined) {
      known.receiveMode = receiveMode;
      const choice = this.#host.settingsOf(receiveMode).receiveMode;
      for (const [peer, its] of this.#outgoing) if (its === known) peer.setReceiveMode(choice);
    }
    this.connectDue();
  }

  /** All connections, present and future, receive so. */
  setReceiveMode(mode: ReceiveModeName): void {
    this.#list.forgetReceiveModes();
    const choice = this.#host.settingsOf(mode).receiveMode;
    for (const peer of this.#all()) peer.setReceiveMode(choice);
  }

  /** Begins connections to those that are due, as far as there is room. */
  connectDue(): void {
    this.#list.forEachDue(this.#host.nowMs, (known) => {
      if (!this.#host.mayConnect) return;
      known.state = "connecting";
      const peer = this.#host.connect(known.host, known.port, known.receiveMode);
      if (peer.state === "closed") this.#list.ended(known, false, this.#host.nowMs);
      else this.#outgoing.set(peer, known);
    });
  }

  /** Both handshakes fit: the peer joins. Throws PeerError if it may not. */
  admit(peer: PeerConnection): void {
    const key = peerKey(peer);
    if (this.#attribution.find(key)?.banned === true)
      throw new PeerError("PEER_BANNED", "the peer sent bad pieces before");
    for (const other of this.#here) {
      if (other === peer || other.state !== "open") continue;
      if (sameBytes(other.peerId, peer.peerId))
        throw new PeerError("PEER_DUPLICATE", "a connection to this peer exists");
    }
    this.#records.set(peer, this.#attribution.record(key, peer.host, peer.port));
    this.#here.add(peer);
  }

  /** The connection ended, whether or not it was ever here. */
  peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    const record = this.#records.get(peer);
    if (record !== undefined) this.#attribution.peerGone(record);
    this.#records.delete(peer);
    this.#here.delete(peer);
    const known = this.#outgoing.get(peer);
    if (known === undefined) return;
    this.#outgoing.delete(peer);
    if (record?.banned === true || error?.code === "PEER_SELF") this.#list.giveUp(known);
    else this.#list.ended(known, peer.counters.payloadBytes > 0, this.#host.nowMs);
  }

  /** True if nobody is connected or being connected, and nobody known is left to try. */
  get isExhausted(): boolean {
    return this.#here.size === 0 && this.#outgoing.size === 0 && this.#list.isExhausted;
  }

  /** The record's peer was banned: its connections end. */
  ban(record: PeerRecord, error: PeerError): void {
    for (const [peer, its] of [...this.#records]) if (its === record) peer.close(error);
  }

  /** Ends a connection whose address is not tried again until somebody names it. */
  disconnect(peer: PeerConnection): void {
    const known = this.#outgoing.get(peer);
    if (known !== undefined) this.#list.giveUp(known);
    this.#outgoing.delete(peer);
    peer.close();
  }

  closeAll(): void {
    for (const peer of this.#all()) peer.close();
  }

  #all(): Set<PeerConnection> {
    return new Set([...this.#here, ...this.#outgoing.keys()]);
  }
}

/** What a ban is for: the address; on loopback, where many peers share one, the address and the peer id. */
function peerKey(peer: PeerConnection): string {
  const loopback = peer.host.startsWith("127.") || peer.host === "::1";
  return loopback ? `${peer.host}|${Buffer.from(peer.peerId ?? []).toString("latin1")}` : peer.host;
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
}
