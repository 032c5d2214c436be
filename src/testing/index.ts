// Contracts that programs run against what they bring: `scatterwire/testing`. No test runner is needed, and any will do: each check is a name
// and a function that rejects with an AssertionError.

import assert from "node:assert/strict";
import type { CustomStorage, StoredTorrent } from "../client/storage/custom-storage.js";

/** One thing that must hold. */
export interface ContractCheck {
  readonly name: string;
  /** Rejects with an AssertionError, or with what was thrown, where it does not. */
  run(): Promise<void>;
}

const PIECE_LENGTH = 65_536;
const TOTAL_LENGTH = 3 * PIECE_LENGTH + 12_345;

/** The torrent that the checks keep. */
const TORRENT: StoredTorrent = {
  infoHash: "c0ffee00".repeat(5),
  name: "contract",
  pieceLength: PIECE_LENGTH,
  totalLength: TOTAL_LENGTH,
  files: [
    { path: ["contract", "one"], offset: 0, length: 100_000, padding: false },
    { path: ["contract", "two"], offset: 100_000, length: TOTAL_LENGTH - 100_000, padding: false },
  ],
};

/**
 * What custom storage must do. `make` makes storage that holds nothing; `again` makes another object over what an earlier one kept, as the
 * next start of the program does, and is left out for storage that keeps nothing over restarts.
 *
 *     for (const { name, run } of customStorageContract(() => new MyStorage(folder))) test(name, run);
 */
export function customStorageContract(
  make: () => CustomStorage | Promise<CustomStorage>,
  again?: (former: CustomStorage) => CustomStorage | Promise<CustomStorage>,
): ContractCheck[] {
  const opened = (use: (storage: CustomStorage) => Promise<void>) => async (): Promise<void> => {
    const storage = await make();
    assert.equal(typeof (await storage.open(TORRENT)), "boolean", "open() resolves to true or false");
    try {
      await use(storage);
    } finally {
      await storage.close();
    }
  };
  const checks: ContractCheck[] = [
    { name: "reads what was written", run: opened(readsWhatWasWritten) },
    { name: "reads across what was written apart, and inside of it", run: opened(readsAcross) },
    { name: "keeps the last of two writes to one place", run: opened(keepsTheLast) },
    { name: "takes many calls at one time", run: opened(takesManyCalls) },
    { name: "reads as many bytes as were asked for where nothing was written", run: opened(readsNothing) },
    { name: "may change nothing of the bytes that it answered before", run: opened(answersApart) },
  ];
  if (again !== undefined)
    checks.push({ name: "has after a restart what sync() made safe", run: () => restarts(make, again) });
  return checks;
}

function bytesAt(offset: number, length: number, seed = 0): Uint8Array {
  return Uint8Array.from(
    { length },
    (_, index) => (Math.imul(offset + index + seed, 2654435761) >>> 13) & 0xff,
  );
}

async function expectBytes(storage: CustomStorage, offset: number, expected: Uint8Array): Promise<void> {
  const bytes = await storage.read(offset, expected.length);
  assert.ok(bytes instanceof Uint8Array, "read() resolves to a Uint8Array");
  assert.equal(bytes.length, expected.length, `read() of ${expected.length} bytes at ${offset}`);
  assert.ok(Buffer.compare(bytes, expected) === 0, `the bytes at ${offset} are those that were written`);
}

async function readsWhatWasWritten(storage: CustomStorage): Promise<void> {
  for (const [offset, length] of [
    [0, 16_384],
    [PIECE_LENGTH, PIECE_LENGTH],
    [TOTAL_LENGTH - 345, 345],
  ] as const) {
    await storage.write(offset, bytesAt(offset, length));
    await expectBytes(storage, offset, bytesAt(offset, length));
  }
}

async function readsAcross(storage: CustomStorage): Promise<void> {
  await storage.write(98_304, bytesAt(98_304, 16_384));
  await storage.write(81_920, bytesAt(81_920, 16_384));
  await expectBytes(storage, 81_920, bytesAt(81_920, 32_768));
  await expectBytes(storage, 99_990, bytesAt(99_990, 20));
}

async function keepsTheLast(storage: CustomStorage): Promise<void> {
  await storage.write(0, bytesAt(0, 32_768));
  await storage.write(16_384, bytesAt(16_384, 16_384, 7));
  await expectBytes(storage, 0, bytesAt(0, 16_384));
  await expectBytes(storage, 16_384, bytesAt(16_384, 16_384, 7));
}

async function takesManyCalls(storage: CustomStorage): Promise<void> {
  const offsets = Array.from({ length: Math.ceil(TOTAL_LENGTH / 16_384) }, (_, index) => index * 16_384);
  const lengthAt = (offset: number): number => Math.min(16_384, TOTAL_LENGTH - offset);
  await Promise.all(offsets.map((offset) => storage.write(offset, bytesAt(offset, lengthAt(offset)))));
  await Promise.all([
    storage.sync(),
    ...offsets.map((offset) => expectBytes(storage, offset, bytesAt(offset, lengthAt(offset)))),
  ]);
}

async function readsNothing(storage: CustomStorage): Promise<void> {
  const bytes = await storage.read(TOTAL_LENGTH - 100, 100);
  assert.equal(bytes.length, 100);
}

async function answersApart(storage: CustomStorage): Promise<void> {
  await storage.write(0, bytesAt(0, 16_384));
  const before = await storage.read(0, 16_384);
  await storage.write(0, bytesAt(0, 16_384, 3));
  assert.ok(Buffer.compare(before, bytesAt(0, 16_384)) === 0, "what read() answered stays as it was");
}

async function restarts(
  make: () => CustomStorage | Promise<CustomStorage>,
  again: (former: CustomStorage) => CustomStorage | Promise<CustomStorage>,
): Promise<void> {
  const former = await make();
  await former.open(TORRENT);
  await former.write(PIECE_LENGTH, bytesAt(PIECE_LENGTH, PIECE_LENGTH));
  await former.sync();
  await former.close();
  const storage = await again(former);
  assert.equal(await storage.open(TORRENT), true, "open() says that something may be there");
  await expectBytes(storage, PIECE_LENGTH, bytesAt(PIECE_LENGTH, PIECE_LENGTH));
  await storage.close();
}
