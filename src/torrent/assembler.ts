// TEMPORARY
import type { BlockIndex, PieceIndex } from "../ids.js";
import type { AssemblerHost } from "./assembler-contract.js";
import type { Memory } from "../memory/memory.js";
import type { Layout } from "../storage/layout.js";
export class Assembler {
  #o: { layout: Layout; memory: Memory; host: AssemblerHost };
  #n = new Map<number, number>();
  constructor(o: any) { this.#o = o; }
  addBlock(piece: PieceIndex, _b: BlockIndex, address: number): void {
    const s = this.#o.memory.pool.slotAt(address);
    if (s >= 0) this.#o.memory.pool.release(s as any);
    const n = (this.#n.get(piece) ?? 0) + 1;
    if (n === this.#o.layout.blocksInPiece(piece)) { this.#n.delete(piece); queueMicrotask(() => this.#o.host.pieceVerified(piece)); }
    else this.#n.set(piece, n);
  }
  async close() {}
}
