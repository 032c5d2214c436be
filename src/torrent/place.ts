// TEMPORARY
import { openSync } from "node:fs";
import { NullStorage } from "../storage/null-storage.js";
import type { Storage } from "../storage/storage.js";
export interface Place { storage: Storage; resume: { append(piece: number): void; checkpoint(): Promise<void> } | undefined; close(clean: boolean): Promise<void> }
export async function openPlace(room: any, metainfo: any, layout: any, options: any, hooks: { checking(f: number): void; pieceGood(p: number): void; warning(t: string): void; signal: AbortSignal }): Promise<Place> {
  const storage: any = new NullStorage();
  if (options.assumeComplete) {
    const fd = openSync(`${options.directory}/${metainfo.name}`, "r");
    const base = room.reactor.engine.map(fd, layout.totalLength, false, false);
    storage.sourceAddress = (offset: number) => base + offset;
    storage.locate = (o: number) => { storage.located.fd = fd; storage.located.fileOffset = o; return true; };
    storage.readCached = (offset: number, m: any) => { let o = offset; for (let i = 0; i < m.count; i++) { room.reactor.engine.copy(base + o, m.addresses[i], m.lengths[i]); o += m.lengths[i]; } return true; };
    for (let i = 0; i < layout.pieceCount; i++) hooks.pieceGood(i);
  }
  return { storage, resume: undefined, close: async () => {} };
}
