// Who sent which block of the pieces under way, and what follows when a piece fails its check.
//
//   failed, all blocks of one peer        ──▶ that peer is banned
//   failed, blocks of several peers       ──▶ all of them are on parole
//   on parole                             ──▶ gets whole pieces to itself: one good piece ends the parole, a bad one bans
//
// A peer on parole that lets a request of such a piece go loses it to the others, and one that finds no whole piece
// helps with those of others: judging peers never stops a download.
//
// Always: every block of a piece under way that was received is attributed to a peer, whether or not that peer is still
// connected.

/** One peer as we remember it beyond its connection. */
export interface PeerRecord {
  readonly key: string;
  readonly host: string;
  readonly port: number;
  onParole: boolean;
  banned: boolean;
  piecesFailed: number;
  /** Its place among all records. */
  readonly index: number;
}

const NOBODY = -1;

export class Attribution {
  readonly #records: PeerRecord[] = [];
  readonly #indexByKey = new Map<string, number>();
  /** Per piece under way, the record index of each block's sender. */
  readonly #senders = new Map<number, Int32Array>();
  /** Pieces that one peer on parole has to itself. */
  readonly #exclusive = new Map<number, PeerRecord>();
  /** Who had a piece to itself last and let it go. */
  readonly #lapsed = new Map<number, PeerRecord>();
  #onParoleCount = 0;

  record(key: string, host: string, port: number): PeerRecord {
    const known = this.#indexByKey.get(key);
    if (known !== undefined) return this.#records[known]!;
    const record: PeerRecord = {
      key,
      host,
      port,
      onParole: false,
      banned: false,
      piecesFailed: 0,
      index: this.#records.length,
    };
    this.#indexByKey.set(key, this.#records.length);
    this.#records.push(record);
    return record;
  }

  find(key: string): PeerRecord | undefined {
    const index = this.#indexByKey.get(key);
    return index === undefined ? undefined : this.#records[index];
  }

  blockReceived(record: PeerRecord, piece: number, block: number, blocksInPiece: number): void {
    let senders = this.#senders.get(piece);
    if (senders === undefined) {
      senders = new Int32Array(blocksInPiece).fill(NOBODY);
      this.#senders.set(piece, senders);
    }
    senders[block] = record.index;
  }

  /** The piece is right: one on parole that sent all of it is trusted again. A part of it would prove nothing. */
  pieceVerified(piece: number): void {
    const senders = this.#take(piece);
    if (senders.length === 1) this.#setParole(senders[0]!, false);
  }

  /** The piece is wrong. Returns all who sent blocks of it, and those of them that are banned for it, each once. */
  pieceFailed(piece: number): { senders: PeerRecord[]; banned: PeerRecord[] } {
    const senders = this.#take(piece);
    const banned: PeerRecord[] = [];
    // Blocks of a peer that was found out may still be in pieces under way: they explain those, and blame nobody else.
    const isExplained = senders.some((record) => record.banned);
    for (const record of senders) {
      record.piecesFailed++;
      if (isExplained) continue;
      if (senders.length === 1) {
        record.banned = true;
        this.#setParole(record, false);
        banned.push(record);
      } else {
        this.#setParole(record, true);
      }
    }
    return { senders, banned };
  }

  /** True if `record` may be asked for blocks of the piece. On parole: for pieces that it can have to itself. */
  mayRequest(record: PeerRecord, piece: number): boolean {
    const owner = this.#exclusive.get(piece);
    if (owner !== undefined) return owner === record;
    return !record.onParole || (!this.#senders.has(piece) && this.#lapsed.get(piece) !== record);
  }

  /** The same, when there is nothing else to ask of `record`: it may share pieces, unless they are another's. */
  mayShare(record: PeerRecord, piece: number): boolean {
    const owner = this.#exclusive.get(piece);
    return owner === undefined || owner === record;
  }

  /** `record` was asked for a block of the piece. On parole, it has the piece to itself from now on if nobody sent any. */
  requested(record: PeerRecord, piece: number): void {
    if (record.onParole && this.mayRequest(record, piece)) this.#exclusive.set(piece, record);
  }

  /** A request was not answered: the piece is not its sender's alone any more. */
  requestDropped(record: PeerRecord, piece: number): void {
    if (this.#exclusive.get(piece) !== record) return;
    this.#exclusive.delete(piece);
    this.#lapsed.set(piece, record);
  }

  /** True while nobody is on parole and no piece belongs to anyone: then mayRequest() is always true. */
  get isQuiet(): boolean {
    return this.#exclusive.size === 0 && this.#onParoleCount === 0;
  }

  /** The peer is gone: pieces that it had to itself are anybody's, as far as it sent none of them. */
  peerGone(record: PeerRecord): void {
    for (const [piece, owner] of this.#exclusive) if (owner === record) this.#exclusive.delete(piece);
  }

  #setParole(record: PeerRecord, onParole: boolean): void {
    if (record.onParole === onParole) return;
    record.onParole = onParole;
    this.#onParoleCount += onParole ? 1 : -1;
  }

  #take(piece: number): PeerRecord[] {
    const senders = this.#senders.get(piece);
    this.#senders.delete(piece);
    this.#exclusive.delete(piece);
    this.#lapsed.delete(piece);
    if (senders === undefined) return [];
    const records: PeerRecord[] = [];
    let last = NOBODY;
    for (const index of senders) {
      // Blocks of one peer lie beside each other: most of them are told by the one before.
      if (index === last || index === NOBODY) continue;
      last = index;
      if (!records.includes(this.#records[index]!)) records.push(this.#records[index]!);
    }
    return records;
  }
}
