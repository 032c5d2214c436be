// What follows when a piece is judged: right, wrong, dropped or to be lent.
//
// Always: resume data notes a piece before anybody hears of it; once the torrent is over nothing follows any more.

import { present } from "../../base/assert.js";
import type { StorageError } from "../../base/errors.js";
import type { PieceIndex, Slots } from "../../base/ids.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Layout } from "../storage/layout.js";
import type { Allotment } from "./allotment.js";
import type { Announcements } from "./announcements.js";
import type { AssemblerHost } from "./assembler-contract.js";
import type { Checkpoints } from "./checkpoints.js";
import type { ContentHost } from "./content-host.js";
import type { Lender } from "./lender.js";
import type { Picker } from "./picker.js";
import type { Wanted } from "./wanted.js";

export interface VerdictParts {
  readonly host: ContentHost;
  readonly layout: Layout;
  readonly wanted: Wanted;
  readonly picker: Picker;
  readonly allotment: Allotment<PeerConnection>;
  /** Undefined where nothing is verified: then nobody is told. */
  readonly announcements: Announcements | undefined;
}

export class PieceVerdicts implements AssemblerHost {
  readonly #parts: VerdictParts;
  /** Where resume data is kept, once storage is open. */
  checkpoints: Checkpoints | undefined;
  /** With the option onBlock. */
  lender: Lender | undefined;

  constructor(parts: VerdictParts) {
    this.#parts = parts;
  }

  pieceVerified(piece: PieceIndex, digests?: Float64Array): void {
    const { host, picker, layout, announcements, wanted } = this.#parts;
    if (host.isOver) return;
    picker.pieceVerified(piece);
    const { attribution } = host;
    const { provenTotal } = attribution;
    const banned = attribution.pieceVerified(piece, digests);
    if (this.checkpoints?.claim(piece, layout.pieceLengthOf(piece)) === false) return;
    announcements?.add(piece);
    host.tell("piece", piece);
    host.pieceHere(piece);
    for (const record of banned) host.ban(record, piece);
    if (wanted.isSatisfied) host.gotAll();
    else this.checkpoints?.claimed();
    if (attribution.provenTotal > provenTotal) this.#parts.allotment.shown();
  }

  pieceToLend(piece: PieceIndex, slots: Slots): void {
    present(this.lender, "pieces are lent where they are asked for").add(piece, slots);
  }

  pieceFailed(piece: PieceIndex, digests: Float64Array | undefined): void {
    const host = this.#parts.host;
    if (host.isOver) return;
    this.#parts.picker.pieceFailed(piece);
    const { senders, banned } = this.#parts.host.attribution.pieceFailed(
      piece,
      digests,
      this.#parts.host.room.clock.nowMs,
    );
    host.tell(
      "pieceFailed",
      piece,
      senders.map(({ host, port }) => ({ host, port })),
    );
    for (const record of banned) host.ban(record, piece);
    this.#parts.allotment.pieceFailed();
  }

  pieceDropped(piece: PieceIndex, digests: Float64Array | undefined): void {
    if (this.#parts.host.isOver) return;
    this.#parts.picker.pieceFailed(piece);
    this.#parts.host.attribution.pieceStartedOver(piece, digests, this.#parts.host.room.clock.nowMs);
    this.#parts.allotment.pieceFree();
  }

  wantsDigests(piece: PieceIndex, bad: boolean): boolean {
    return bad ? this.#parts.host.attribution.isShared(piece) : this.#parts.host.attribution.remembers(piece);
  }

  get isQuiet(): boolean {
    return this.#parts.host.attribution.isQuiet;
  }

  storageFailed(error: StorageError): void {
    this.#parts.host.fail(error);
  }
}
