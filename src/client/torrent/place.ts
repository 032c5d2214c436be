// The place of one torrent's data, made ready: storage opened, the lock taken, resume data read, and what it does not
// vouch for checked. Closing goes the same way back.

import { entryOf, present } from "../../base/assert.js";
import { StorageError, UsageError } from "../../base/errors.js";
import type { PieceIndex } from "../../base/ids.js";
import { PieceSet } from "../../base/piece-set.js";
import { describeOmissions } from "../metainfo/describe.js";
import type { Metainfo } from "../metainfo/types.js";
import type { TorrentOptions } from "../options.js";
import { type CustomStorage, ProgramStorage } from "../storage/custom-storage.js";
import { processFiles } from "../storage/descriptors.js";
import { FileTable } from "../storage/file-table.js";
import type { Layout } from "../storage/layout.js";
import { DownloadLock } from "../storage/lock.js";
import { makeFolder, type OpenedStorage, openStorage } from "../storage/open.js";
import { makeOwnFolder } from "../storage/own-files.js";
import { ResumeLog } from "../storage/resume.js";
import type { Storage, StorageKind } from "../storage/storage.js";
import { Survey } from "../storage/survey.js";
import { whenFree } from "../storage/waiting-jobs.js";
import { checkPieces, isUnreadable } from "./checker.js";
import type { EngineRoom } from "./engine-room.js";
import { OldData } from "./old-data.js";

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
  pieceGood(piece: PieceIndex): void;
  /** False: the file gets no place on disk until a piece of it is written. */
  isFileWanted(fileIndex: number): boolean;
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
  const kind = options.customStorage !== undefined ? "custom" : (options.storage ?? "file");
  const onDisk = kind !== "null" && kind !== "memory" && kind !== "custom";
  const readOnly = onDisk && options.readOnly === true;
  const { ground } = room.reactor;
  const closers: (() => Promise<void> | void)[] = [];
  /** Rejects with the first error when all have had their turn. */
  const closeAll = async (): Promise<void> => {
    const errors: unknown[] = [];
    for (const close of closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  };
  try {
    if (onDisk && !readOnly && options.directory !== undefined) {
      makeFolder(options.directory);
      makeOwnFolder(options.directory);
      closers.push(await lockWhenFree(options.directory, metainfo, room, hooks));
    }
    if (!readOnly) for (const omission of describeOmissions(metainfo)) hooks.warning(omission);
    const looksBefore = onDisk && options.assumeEmpty !== true;
    const before = looksBefore ? lookBefore(metainfo, layout, options, hooks) : undefined;
    const work: Work = { room, metainfo, layout, options, hooks };
    const { opened, found } =
      options.customStorage === undefined
        ? await openAndFind(work, { kind, readOnly, before })
        : await openCustom(work, options.customStorage);
    closers.push(() => opened.storage.close());
    const { storage, files } = opened;
    // Nobody may find claimed tomorrow what nobody compares with its digest today.
    const claims = options.resume !== false && options.verify !== false;
    const keepsResume = files !== undefined && !readOnly && claims;
    const resume = keepsResume
      ? new ResumeLog({
          folder: files.root,
          infoHash: metainfo.infoHash,
          pieceCount: layout.pieceCount,
          files,
          storage: () => storage,
          ground,
        })
      : undefined;
    if (resume !== undefined && files !== undefined)
      files.onMade = (fileIndex, { mtimeMs, ino }) => resume.fileMade(fileIndex, mtimeMs, ino);
    await whenFree(processFiles(), ground, () => resume?.begin(found.claimed, found.hashed), hooks.signal);
    return {
      storage,
      resume,
      close: async (clean) => {
        // Whatever goes wrong on the way, the lock is released and descriptors are closed; and what could not be made durable
        // is not claimed.
        closers.push(() => resume?.abandon());
        try {
          if (!clean) return;
          await resume?.checkpoint();
          await storage.close();
          try {
            resume?.close();
          } catch (error) {
            // All that is claimed was made durable before: the record of a running download says it as well.
            hooks.warning(`the next start may hash more than it needs: ${asStorageError(error).message}`);
          }
        } finally {
          await closeAll();
        }
      },
    };
  } catch (error) {
    // Why it could not be opened is what counts, and not what else went wrong then.
    await closeAll().catch(() => {});
    throw error;
  }
}

/** Takes the lock, and answers what lets go of it. Rejects StorageError. */
async function lockWhenFree(
  directory: string,
  metainfo: Metainfo,
  room: EngineRoom,
  hooks: PlaceHooks,
): Promise<() => void> {
  const descriptors = processFiles();
  const take = (): DownloadLock | undefined =>
    DownloadLock.take(directory, metainfo.infoHashHex, hooks.warning);
  // Counted before it is had: connections that end while we wait make room for us, and not for others.
  descriptors.hold();
  try {
    const lock = await whenFree(descriptors, room.reactor.ground, take, hooks.signal);
    return () => lock?.release();
  } finally {
    descriptors.letGo();
  }
}

/** What the parts of opening have in common. */
interface Work {
  readonly room: EngineRoom;
  readonly metainfo: Metainfo;
  readonly layout: Layout;
  readonly options: TorrentOptions;
  readonly hooks: PlaceHooks;
}

/**
 * Opens storage and finds what is good in it. Data that may be complete is read before anything is opened for writing: if it
 * is, nothing needs to be writable. Nothing is left open if it rejects.
 */
async function openAndFind(
  work: Work,
  how: { kind: StorageKind; readOnly: boolean; before: Before | undefined },
): Promise<{ opened: OpenedStorage; found: Found }> {
  const { kind, readOnly, before } = how;
  const find = async (opened: OpenedStorage): Promise<Found> => {
    try {
      return await findPieces(work, opened.storage, before);
    } catch (error) {
      await opened.storage.close();
      throw error;
    }
  };
  if (before?.mayBeComplete !== true || readOnly) {
    const opened = await openAs(work, kind, readOnly);
    return { opened, found: await find(opened) };
  }
  const opened = await openAs(work, "file", true);
  const found = await find(opened);
  const isComplete = found.claimed.count + found.hashed.length === work.layout.pieceCount;
  if (isComplete && kind !== "mapped") return { opened, found };
  await opened.storage.close();
  try {
    return { opened: await openAs(work, kind, false), found };
  } catch (error) {
    if (!isComplete || !(error instanceof StorageError)) throw error;
    return { opened: await openAs(work, "file", true), found };
  }
}

/** Nothing is left open if it rejects. */
async function openCustom(
  work: Work,
  program: CustomStorage,
): Promise<{ opened: OpenedStorage; found: Found }> {
  const { room, metainfo, layout, options } = work;
  const { infoHashHex: infoHash, name, pieceLength, totalLength } = metainfo;
  const files = layout.files.map(({ path, offset, length, padding }) => ({ path, offset, length, padding }));
  const torrent = { infoHash, name, pieceLength, totalLength, files };
  const slab = room.memory.bytes;
  const storage = new ProgramStorage({ program, torrent, slab, ground: room.reactor.ground });
  const mayHold = await storage.open();
  try {
    const looks = mayHold && options.assumeEmpty !== true && options.assumeComplete !== true;
    const nothing = (): PieceSet => new PieceSet(layout.pieceCount);
    const before = looks
      ? { claimed: nothing(), candidates: allPieces(layout), recorded: nothing(), mayBeComplete: false }
      : undefined;
    return { opened: { storage, files: undefined }, found: await findPieces(work, storage, before) };
  } catch (error) {
    // Why it is no good is what counts, and not what else went wrong then.
    await storage.close().catch(() => {});
    throw error;
  }
}

function openAs(work: Work, kind: StorageKind, readOnly: boolean): Promise<OpenedStorage> {
  const { room, layout, options, hooks } = work;
  return openStorage({
    kind,
    layout,
    directory: options.directory,
    reactor: room.reactor,
    memory: room.memory,
    preallocate: options.preallocate,
    populate: options.populate,
    writeRunBytes: options.writeRunBytes,
    readOnly,
    isFileWanted: (fileIndex) => hooks.isFileWanted(fileIndex),
    onWarning: hooks.warning,
  });
}

/** What is known before storage is opened, which gives files their lengths: afterwards a missing file looks like an empty one. */
interface Before {
  readonly claimed: PieceSet;
  readonly candidates: readonly number[];
  /** Pieces that were on record as good. */
  readonly recorded: PieceSet;
  /** Every file is there, and no piece is known to be missing. */
  readonly mayBeComplete: boolean;
}

function lookBefore(metainfo: Metainfo, layout: Layout, options: TorrentOptions, hooks: PlaceHooks): Before {
  const files = new FileTable(layout, options.directory ?? ".", true);
  const survey = new Survey(files);
  const old = new OldData(layout, survey, metainfo.pieces);
  const state =
    options.resume === false
      ? undefined
      : new ResumeLog({
          folder: files.root,
          infoHash: metainfo.infoHash,
          pieceCount: layout.pieceCount,
          files,
          storage: () => unopened(),
        }).load(survey);
  const claimed = state?.claimed ?? new PieceSet(layout.pieceCount);
  if (options.assumeComplete === true) claimed.fill();
  const recorded = state?.recorded ?? new PieceSet(layout.pieceCount);
  const asked = state === undefined || state.checkAll ? allPieces(layout) : state.candidates;
  const candidates = asked.filter((piece) => !claimed.has(piece) && old.mayHold(piece));
  const mayBeComplete = survey.isComplete && claimed.count + candidates.length === layout.pieceCount;
  const gone = asked.filter((piece) => recorded.has(piece) && !old.mayHold(piece));
  tellDamaged(layout, gone, hooks);
  return { claimed, candidates, recorded, mayBeComplete };
}

function allPieces(layout: Layout): number[] {
  return Array.from({ length: layout.pieceCount }, (_, piece) => piece);
}

function unopened(): never {
  throw new UsageError("USAGE_STATE", "storage is not open yet");
}

/** Files that are named in one warning. */
const FILES_NAMED_MAX = 3;

/** What was on record as good and is not: told, for it is fetched again, and something was at the files. */
function tellDamaged(layout: Layout, pieces: readonly number[], hooks: PlaceHooks): void {
  if (pieces.length === 0) return;
  const files = new Set<number>();
  for (const piece of pieces) {
    layout.forEachSpan(layout.pieceOffset(piece), layout.pieceLengthOf(piece), (fileIndex) => {
      if (!entryOf(layout.files, fileIndex).padding) files.add(fileIndex);
    });
  }
  const names = [...files]
    .slice(0, FILES_NAMED_MAX)
    .map((index) => entryOf(layout.files, index).path.join("/"));
  const rest = files.size > FILES_NAMED_MAX ? ` and ${files.size - FILES_NAMED_MAX} more files` : "";
  const many = pieces.length === 1 ? "a piece that was" : `${pieces.length} pieces that were`;
  hooks.warning(
    `${many} verified before, in ${names.join(", ")}${rest}, changed since and will be fetched again`,
  );
}

/** Pieces that were claimed before, and those that were hashed now and are good. */
interface Found {
  readonly claimed: PieceSet;
  readonly hashed: number[];
}

/** Throws what is none: a bug of ours. */
function asStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  throw error;
}

function unreadable(error: StorageError): StorageError {
  const details = error.errno === undefined ? {} : { errno: error.errno };
  return new StorageError("STORAGE_UNREADABLE", error.message, { ...details, cause: error });
}

/** Tells which pieces are good: those claimed, and those of the candidates whose digest fits. Rejects StorageError for what cannot be read. */
async function findPieces(work: Work, storage: Storage, before: Before | undefined): Promise<Found> {
  const { room, metainfo, layout, options, hooks } = work;
  const claimed = before?.claimed ?? new PieceSet(layout.pieceCount);
  if (options.assumeComplete === true) claimed.fill();
  for (let index = claimed.next(0); index >= 0; index = claimed.next(index + 1))
    hooks.pieceGood(present(layout.checkPiece(index), "a set of pieces is as long as the layout"));
  const hashed: number[] = [];
  const pieces = before?.candidates ?? [];
  if (before === undefined || claimed.isFull || pieces.length === 0) return { claimed, hashed };
  const damaged: number[] = [];
  let looked = 0;
  await checkPieces({
    layout,
    storage,
    memory: room.memory,
    reactor: room.reactor,
    digests: metainfo.pieces,
    pieces,
    signal: hooks.signal,
    onPiece: (piece, good, error) => {
      // Not wrong, but not to be read: whoever fetched it anew would write to what cannot be read.
      if (error !== undefined && isUnreadable(error)) throw unreadable(error);
      if (good) {
        hashed.push(piece);
        hooks.pieceGood(present(layout.checkPiece(piece), "what was checked is a piece"));
      } else if (before.recorded.has(piece)) damaged.push(piece);
      hooks.checking(++looked / pieces.length);
    },
  });
  tellDamaged(layout, damaged, hooks);
  return { claimed, hashed };
}
