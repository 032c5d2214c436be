// The place of one torrent's data, made ready: storage opened, the lock taken, resume data read, and what it does not
// vouch for checked. Closing goes the same way back.

import { UsageError } from "../../base/errors.js";
import { PieceSet } from "../../base/piece-set.js";
import type { Metainfo } from "../metainfo/types.js";
import type { TorrentOptions } from "../options.js";
import { FileTable } from "../storage/file-table.js";
import type { Layout } from "../storage/layout.js";
import { DownloadLock } from "../storage/lock.js";
import { makeFolder, openStorage } from "../storage/open.js";
import { ResumeLog } from "../storage/resume.js";
import type { Storage } from "../storage/storage.js";
import { checkPieces } from "./checker.js";
import type { EngineRoom } from "./engine-room.js";

export interface Place {
  readonly storage: Storage;
  /** Undefined where nothing is kept, or nothing is to be recorded. */
  readonly resume: ResumeLog | undefined;
  /** `clean`: all that was written is sound; resume data may say so. */
  close(clean: boolean): Promise<void>;
}

export interface PlaceHooks {
  /** The check goes on: fraction 0 … 1. */
  checking(fraction: number): void;
  pieceGood(piece: number): void;
  warning(text: string): void;
  readonly signal: AbortSignal;
}

/** Rejects StorageError, UsageError. Nothing is left open then. */
export async function openPlace(
  room: EngineRoom,
  metainfo: Metainfo,
  layout: Layout,
  options: TorrentOptions,
  hooks: PlaceHooks,
): Promise<Place> {
  const kind = options.storage ?? "file";
  const onDisk = kind !== "null" && kind !== "memory";
  const readOnly = onDisk && options.readOnly === true;
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    if (onDisk && !readOnly && options.directory !== undefined) {
      makeFolder(options.directory);
      const lock = DownloadLock.take(options.directory, metainfo.infoHashHex, hooks.warning);
      if (lock !== undefined) closers.push(() => lock.release());
    }
    const looksBefore = onDisk && options.assumeEmpty !== true;
    const before = looksBefore ? lookBefore(metainfo, layout, options) : undefined;
    const { storage, files } = await openStorage({
      kind,
      layout,
      directory: options.directory,
      reactor: room.reactor,
      memory: room.memory,
      preallocate: options.preallocate,
      populate: options.populate,
      writeRunBytes: options.writeRunBytes,
      readOnly,
      onWarning: hooks.warning,
    });
    closers.push(() => storage.close());
    const keepsResume = files !== undefined && !readOnly && options.resume !== false;
    const resume = keepsResume
      ? new ResumeLog({
          folder: files.root,
          infoHash: metainfo.infoHash,
          pieceCount: layout.pieceCount,
          files,
          storage: () => storage,
        })
      : undefined;
    const found = await findPieces(room, metainfo, layout, options, storage, before, hooks);
    resume?.begin(found.claimed, found.hashed);
    return {
      storage,
      resume,
      close: async (clean) => {
        // Whatever goes wrong on the way, the lock is released and descriptors are closed.
        try {
          if (clean) await resume?.checkpoint();
        } finally {
          await storage.close();
          if (clean) resume?.close();
          else resume?.abandon();
          await closeAll();
        }
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** What is known before storage is opened, which gives files their lengths: afterwards a missing file looks like an empty one. */
interface Before {
  readonly claimed: PieceSet;
  readonly candidates: readonly number[];
}

function lookBefore(metainfo: Metainfo, layout: Layout, options: TorrentOptions): Before {
  const files = new FileTable(layout, options.directory ?? ".", true);
  if (options.resume !== false) {
    const log = new ResumeLog({
      folder: files.root,
      infoHash: metainfo.infoHash,
      pieceCount: layout.pieceCount,
      files,
      storage: () => unopened(),
    });
    const state = log.load();
    if (!state.checkAll) return state;
  }
  return { claimed: new PieceSet(layout.pieceCount), candidates: [...piecesOnDisk(layout, files)] };
}

function unopened(): never {
  throw new UsageError("USAGE_STATE", "storage is not open yet");
}

/** Pieces that may be there: none of the files they lie in is missing, and some of their bytes are allocated. */
function* piecesOnDisk(layout: Layout, files: FileTable): Iterable<number> {
  const isThere = layout.files.map((file, index) => file.padding || files.allocatedOnDisk(index) > 0);
  for (let piece = 0; piece < layout.pieceCount; piece++) {
    let complete = true;
    layout.forEachSpan(layout.pieceOffset(piece), layout.pieceLengthOf(piece), (fileIndex) => {
      if (!isThere[fileIndex]) complete = false;
    });
    if (complete) yield piece;
  }
}

/** Tells which pieces are good: those claimed, and those of the candidates whose digest fits. */
async function findPieces(
  room: EngineRoom,
  metainfo: Metainfo,
  layout: Layout,
  options: TorrentOptions,
  storage: Storage,
  before: Before | undefined,
  hooks: PlaceHooks,
): Promise<{ claimed: PieceSet; hashed: number[] }> {
  const claimed = before?.claimed ?? new PieceSet(layout.pieceCount);
  if (options.assumeComplete === true) claimed.fill();
  for (let piece = 0; piece < layout.pieceCount; piece++) if (claimed.has(piece)) hooks.pieceGood(piece);
  const hashed: number[] = [];
  if (before === undefined || claimed.isFull) return { claimed, hashed };
  const pieces = before.candidates.filter((piece) => !claimed.has(piece));
  let looked = 0;
  await checkPieces({
    layout,
    storage,
    memory: room.memory,
    reactor: room.reactor,
    digests: metainfo.pieces,
    pieces,
    signal: hooks.signal,
    onPiece: (piece, good) => {
      if (good) {
        hashed.push(piece);
        hooks.pieceGood(piece);
      }
      hooks.checking(++looked / pieces.length);
    },
  });
  return { claimed, hashed };
}
