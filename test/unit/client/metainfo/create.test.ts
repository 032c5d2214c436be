// Torrents made of files and folders: what stands in them, and what the disk has.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import bencode from "bencode";
import {
  MetainfoError,
  type MetainfoErrorCode,
  UsageError,
  type UsageErrorCode,
} from "../../../../src/base/errors.js";
import { MIB, PIECE_COUNT_MAX } from "../../../../src/base/limits.js";
import {
  type CreateOptions,
  choosePieceLength,
  createMetainfo,
  type PieceHasher,
} from "../../../../src/client/metainfo/create.js";
import { describeMetainfo } from "../../../../src/client/metainfo/describe.js";
import { parseMetainfo } from "../../../../src/client/metainfo/parse.js";
import { loadBinding } from "../../../../src/native/binding.js";
import { entryOf, required } from "../../../support/required.js";

const root = mkdtempSync(join(tmpdir(), "scatterwire-create-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** Hashes in memory, and tells progress per file. */
const hasher: PieceHasher = {
  lookAtFiles: loadBinding().lookAtFiles,
  async hashPieces(files, pieceLength, onProgress) {
    const parts: Uint8Array[] = [];
    let done = 0;
    for (const { path, length, padding } of files) {
      parts.push(padding ? new Uint8Array(length) : readFileSync(entryOf(path, 0)));
      done += length;
      onProgress(done);
    }
    return digestsOf(Buffer.concat(parts), pieceLength);
  },
};

function digestsOf(stream: Uint8Array, pieceLength: number): Buffer {
  const digests: Buffer[] = [];
  for (let at = 0; at < stream.length; at += pieceLength) {
    digests.push(
      createHash("sha1")
        .update(stream.subarray(at, at + pieceLength))
        .digest(),
    );
  }
  return Buffer.concat(digests);
}

let folders = 0;
/** A new folder of files: relative path → content, or length of made-up content. */
function folderWith(files: Record<string, string | number>): string {
  const folder = join(root, `folder-${folders++}`);
  mkdirSync(folder);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), typeof content === "string" ? content : Buffer.alloc(content, path));
  }
  return folder;
}

async function create(path: string, options: CreateOptions = {}) {
  const { bytes, description, fileCount } = await createMetainfo(path, options, hasher);
  const metainfo = parseMetainfo(bytes);
  const { files, ...described } = describeMetainfo(metainfo);
  assert.deepEqual(description, described, "it says of itself what it is");
  assert.equal(fileCount, files.filter((file) => !file.padding).length);
  return metainfo;
}

async function refused(
  made: Promise<unknown>,
  code: MetainfoErrorCode | UsageErrorCode,
  text: RegExp,
): Promise<void> {
  await assert.rejects(made, (error) => {
    assert.ok(error instanceof MetainfoError || error instanceof UsageError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });
}

describe("createMetainfo", () => {
  it("makes a torrent of one file", async () => {
    const file = join(folderWith({ "one.bin": 100_000 }), "one.bin");
    const metainfo = await create(file);
    assert.deepEqual(metainfo.files, [{ path: ["one.bin"], length: 100_000, offset: 0, padding: false }]);
    assert.equal(metainfo.pieceLength, 16_384);
    assert.deepEqual(Buffer.from(metainfo.pieces), digestsOf(readFileSync(file), 16_384));
    assert.equal(metainfo.private, false);
    assert.deepEqual(metainfo.announce, []);
  });

  it("makes a torrent of a folder: sorted, empty and hidden files and all, empty folders left out", async () => {
    const folder = folderWith({
      "b/z": 10,
      "b/a/x": 5,
      "b.txt": 7,
      ".hidden": 3,
      empty: 0,
      "b!": 1,
      "ü/☃": 2,
    });
    mkdirSync(join(folder, "nothing"));
    const metainfo = await create(folder, { name: "named", pieceLength: 20_000 });
    const paths = metainfo.files.map((file) => file.path.join("/"));
    const expected = [".hidden", "b/a/x", "b/z", "b!", "b.txt", "empty", "ü/☃"];
    assert.deepEqual(
      paths,
      expected.map((path) => `named/${path}`),
    );
    const stream = Buffer.concat(expected.map((path) => readFileSync(join(folder, path))));
    assert.deepEqual(Buffer.from(metainfo.pieces), digestsOf(stream, 20_000));
  });

  it("keeps a folder of one file a folder", async () => {
    const metainfo = await create(folderWith({ x: 5 }), { name: "f" });
    assert.deepEqual([metainfo.isSingleFile, entryOf(metainfo.files, 0).path], [false, ["f", "x"]]);
  });

  it("aligns files with pieces where padding is asked for (BEP 47)", async () => {
    const folder = folderWith({ a: 20_000, b: 16_384, c: 0, d: 1, e: 5 });
    const metainfo = await create(folder, { padding: true, pieceLength: 16_384 });
    const files = metainfo.files.map(({ path, length, padding }) => [
      path.slice(1).join("/"),
      length,
      padding,
    ]);
    assert.deepEqual(files, [
      ["a", 20_000, false],
      [".pad/12768", 12_768, true],
      ["b", 16_384, false],
      ["c", 0, false],
      ["d", 1, false],
      [".pad/16383", 16_383, true],
      ["e", 5, false],
    ]);
    for (const { offset, length, padding } of metainfo.files) {
      if (length > 0 && !padding) assert.equal(offset % 16_384, 0);
    }
    const single = await create(join(folder, "a"), { padding: true });
    assert.equal(single.files.length, 1);
  });

  it("says what it was told to say", async () => {
    const file = join(folderWith({ f: 5 }), "f");
    const announce = ["http://one.example/announce", "udp://two.example:6969"];
    const options = { announce, private: true, comment: "naïve ☃", creationDate: 1_700_000_000 };
    const metainfo = await create(file, options);
    assert.deepEqual(metainfo.announce, [[announce[0]], [announce[1]]]);
    assert.equal(metainfo.private, true);
    assert.equal(metainfo.comment, options.comment);
    assert.equal(metainfo.creationDate, options.creationDate);
    assert.match(required(metainfo.createdBy, "created by"), /^scatterwire /);
    const { bytes: one } = await createMetainfo(file, { ...options, announce: announce.slice(0, 1) }, hasher);
    assert.deepEqual(parseMetainfo(one).announce, [[announce[0]]]);
    assert.equal(Buffer.from(one).includes("announce-list"), false);
    assert.deepEqual(
      await createMetainfo(file, options, hasher),
      await createMetainfo(file, options, hasher),
    );
    assert.deepEqual(bencode.encode(bencode.decode(one)), one, "keys in order");
  });

  it("tells progress in bytes, padding included", async () => {
    const folder = folderWith({ a: 10, b: 20 });
    const seen: [number, number][] = [];
    await create(folder, { padding: true, onProgress: (bytes, total) => seen.push([bytes, total]) });
    assert.deepEqual(seen, [
      [10, 16_404],
      [16_384, 16_404],
      [16_404, 16_404],
    ]);
  });

  it("follows links to files and folders, but not in a circle", async () => {
    const folder = folderWith({ "d/a": 5 });
    symlinkSync(join(folder, "d", "a"), join(folder, "file-link"));
    symlinkSync(join(folder, "d"), join(folder, "folder-link"));
    const paths = (await create(folder, { name: "n" })).files.map((file) => file.path.join("/"));
    assert.deepEqual(paths, ["n/d/a", "n/file-link", "n/folder-link/a"]);
    symlinkSync(folder, join(folder, "d", "circle"));
    await refused(create(folder), "METAINFO_PATH", /circle: a link to a folder that it lies in/);
  });

  it("refuses what cannot become a torrent", async () => {
    const broken = folderWith({});
    symlinkSync("nowhere", join(broken, "link"));
    const latin = folderWith({});
    writeFileSync(Buffer.concat([Buffer.from(`${latin}/`), Buffer.of(0xe9)]), "x");
    await refused(create(join(root, "missing")), "METAINFO_PATH", /missing: no such file or folder/);
    await refused(create("/dev/null"), "METAINFO_PATH", /neither a file nor a folder/);
    await refused(create(broken), "METAINFO_PATH", /link: .*a link that leads nowhere/);
    await refused(create(latin), "METAINFO_PATH", /the name "é" in it is not UTF-8/);
    await refused(create(folderWith({})), "METAINFO_MALFORMED", /there are no files in it/);
    await refused(create(folderWith({ a: 0, b: 0 })), "METAINFO_MALFORMED", /only empty files/);
    await refused(create(folderWith({ a: 1, _____padding_file_0: 1 })), "METAINFO_PATH", /for padding/);
  });

  it("refuses what it may not read", async () => {
    const file = folderWith({ a: 5 });
    const folder = folderWith({ a: 5, "inner/b": 5 });
    chmodSync(root, 0o755);
    chmodSync(join(file, "a"), 0);
    chmodSync(join(folder, "inner"), 0);
    // Root reads everything, so it is nobody for the moment.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      await refused(create(file), "METAINFO_PATH", /a: no permission to read it/);
      await refused(create(folder), "METAINFO_PATH", /inner: no permission to read it/);
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(join(folder, "inner"), 0o755);
    }
  });

  it("refuses options that cannot be", async () => {
    const file = join(folderWith({ f: 5 }), "f");
    for (const pieceLength of [0, -1, 16_383, 16_384.5, Number.NaN, 2 ** 30]) {
      await refused(create(file, { pieceLength }), "USAGE_OPTION", /a piece has 16384 to 536870912 bytes/);
    }
    for (const name of ["", ".", "..", "a/b", "a\0b", "x".repeat(256)]) {
      await refused(create(file, { name }), "USAGE_OPTION", /a torrent cannot be named/);
    }
    await refused(create("/"), "USAGE_OPTION", /a torrent cannot be named ""/);
    await refused(
      create(file, { announce: ["not an address"] }),
      "USAGE_OPTION",
      /not the address of a tracker/,
    );
  });

  it("refuses files that changed while they were hashed", async () => {
    const changes: ((file: string) => void)[] = [
      (file) => writeFileSync(file, "longer than before"),
      (file) => rmSync(file),
    ];
    for (const change of changes) {
      const folder = folderWith({ a: 5, b: 5 });
      const changing: PieceHasher = {
        ...hasher,
        async hashPieces(...call) {
          const pieces = await hasher.hashPieces(...call);
          change(join(folder, "b"));
          return pieces;
        },
      };
      await refused(createMetainfo(folder, {}, changing), "METAINFO_PATH", /b: (changed while|no such file)/);
    }
  });

  it("ends when it is aborted: before, and while hashing", async () => {
    const folder = folderWith({ a: 5 });
    await refused(create(folder, { signal: AbortSignal.abort() }), "ABORTED", /aborted/);
    const controller = new AbortController();
    const aborting: PieceHasher = {
      ...hasher,
      async hashPieces(files, pieceLength, onProgress, signal) {
        assert.equal(signal, controller.signal);
        controller.abort();
        return hasher.hashPieces(files, pieceLength, onProgress, signal);
      },
    };
    await refused(createMetainfo(folder, { signal: controller.signal }, aborting), "ABORTED", /aborted/);
  });
});

describe("choosePieceLength", () => {
  it("grows with the size, from 16 KiB to 16 MiB", () => {
    assert.equal(choosePieceLength(1), 16_384);
    assert.equal(choosePieceLength(1024 * MIB), MIB);
    for (const length of [2 ** 34, 2 ** 36, 2 ** 36 + 1, 1.5e12, 2e12, 2 ** 42, 2 ** 46]) {
      assert.equal(choosePieceLength(length), 16 * MIB);
    }
    let before = 0;
    for (let length = 1; length < 2 ** 48; length *= 1.7) {
      const pieceLength = choosePieceLength(Math.floor(length));
      assert.ok(pieceLength >= before && pieceLength % 16_384 === 0);
      before = pieceLength;
    }
  });

  it("goes beyond where there were too many pieces", () => {
    for (const length of [2 ** 46 + 1, 2 ** 48, 2 ** 50]) {
      const pieceLength = choosePieceLength(length);
      assert.ok(length / pieceLength <= PIECE_COUNT_MAX);
      assert.ok(pieceLength > 16 * MIB);
    }
  });
});
