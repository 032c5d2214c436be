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
// connected. Records that nothing refers to are forgotten when there are RECORDS_MAX of them, the oldest first.

/** One peer as we remember it beyond its connection. */
export interface PeerRecord {
  readonly key: string;
  readonly host: string;
  readonly port: number;
  onParole: boolean;
  banned: boolean;
  piecesFailed: number;
  /** Connections of it that are here. Kept by the roster. */
  connections: number;
  /** Its place among all records. */
  readonly index: number;
}

const NOBODY = -1;
/** Half of them stay when there are so many, but for those that something refers to. */
export const RECORDS_MAX = 4096;

export class Attribution {
  readonly #records: (PeerRecord | undefined)[] = [];
  readonly #freeIndices: number[] = [];
  readonly #indexByKey = new Map<string, number>();
  /** Per piece under way, the record index of each block's sender. */
  readonly #senders = new Map<number, Int32Array>();
  /** Pieces that one peer on parole has to itself. */
  readonly #exclusive = new Map<number, PeerRecord>();
  /** Who had a piece to itself last and let it go. */
  readonly #lapsed = new Map<number, PeerRecord>();
  #onParoleCount = 0;
  #pruneAt = RECORDS_MAX;

  record(key: string, host: string, port: number): PeerRecord {
    const known = this.#indexByKey.get(key);
    if (known !== undefined) return this.#records[known]!;
    if (this.#indexByKey.size >= this.#pruneAt) this.#prune();
    const index = this.#freeIndices.pop() ?? this.#records.length;
    const record: PeerRecord = {
      key,
      host,
      port,
      onParole: false,
      banned: false,
      piecesFailed: 0,
      connections: 0,
      index,
    };
    this.#indexByKey.set(key, index);
    this.#records[index] = record;
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

  /** Forgets the oldest half of the records, but those of peers that are here or that sent blocks of pieces under way. */
  #prune(): void {
    const used = new Set<number>();
    for (const senders of this.#senders.values()) for (const index of senders) used.add(index);
    for (const owners of [this.#exclusive, this.#lapsed])
      for (const { index } of owners.values()) used.add(index);
    let surplus = this.#indexByKey.size - RECORDS_MAX / 2;
    for (const [key, index] of this.#indexByKey) {
      if (surplus <= 0) break;
      const record = this.#records[index]!;
      if (record.connections > 0 || used.has(index)) continue;
      this.#setParole(record, false);
      this.#indexByKey.delete(key);
      this.#records[index] = undefined;
      this.#freeIndices.push(index);
      surplus--;
    }
    // However many are in use, looking at all of them is paid for by as many new ones.
    this.#pruneAt = Math.max(RECORDS_MAX, 2 * this.#indexByKey.size);
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
