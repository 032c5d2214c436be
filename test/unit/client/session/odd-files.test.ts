// Folders that are not as a download would have them: links that lead out, files of ours that others name, files that may not be
// written, holes, FIFOs, two paths of one file, data that was changed behind our back. With real files, over real sockets.
//
// It is long because each kind of folder is one test, and all share what makes and looks at them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import bencode from "bencode";
import {
  createTorrentFile,
  type Metainfo,
  parseMetainfo,
  Session,
  type Torrent,
  type TorrentOptions,
} from "../../../../src/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { makeShared, type Shared, seed } from "./loopback.js";

const PIECE_LENGTH = 32_768;

/** A torrent "t" of files (path → bytes), and the folder it lies in. */
async function share(files: Readonly<Record<string, Buffer>>, name = "t"): Promise<Shared> {
  const folder = temporaryFolder(after);
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(folder, name, path, ".."), { recursive: true });
    writeFileSync(join(folder, name, path), bytes);
  }
  const torrent = await createTorrentFile(join(folder, name), { pieceLength: PIECE_LENGTH });
  return { folder, metainfo: parseMetainfo(torrent), data: Buffer.alloc(0) };
}

interface Outcome {
  readonly error: (Error & { code?: string }) | undefined;
  readonly warnings: readonly string[];
  /** Bytes that came from the seed. */
  readonly fetched: number;
}

/** Downloads into `directory` from a seed of `shared`, to the end or until it fails. */
async function download(shared: Shared, directory: string, options: TorrentOptions = {}): Promise<Outcome> {
  const seeding = await seed(shared);
  const session = new Session();
  const warnings: string[] = [];
  try {
    const torrent: Torrent = session.addInBackground(shared.metainfo, {
      directory,
      peers: [seeding.address],
      ...options,
    });
    torrent.on("warning", (text) => warnings.push(text));
    const error = await torrent.done.then(
      () => undefined,
      (failure: Error) => failure,
    );
    return { error, warnings, fetched: session.counters().payloadBytes };
  } finally {
    await session.close();
    await seeding.session.close();
  }
}

/** Runs `work` as a user whom permissions bind: root reads and writes everything. */
async function asNobody<Result>(folders: readonly string[], work: () => Promise<Result>): Promise<Result> {
  if (process.geteuid?.() !== 0) return work();
  execFileSync("chown", ["-R", "65534:65534", ...folders]);
  process.seteuid?.(65_534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

function namesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
}

const TWO = { "a/one": bytesOf(1, 100_000), "b/two": bytesOf(2, 50_000) };

describe("folders and links", { timeout: 60_000 }, () => {
  it("a link that leads out leaves nothing there, and nothing is made beside it", async () => {
    const shared = await share(TWO);
    const [outside, directory] = [temporaryFolder(after), temporaryFolder(after)];
    mkdirSync(join(directory, "t"));
    symlinkSync(outside, join(directory, "t", "b"));
    const { error } = await download(shared, directory);
    assert.equal(error?.code, "STORAGE_PATH");
    assert.deepEqual(readdirSync(outside), []);
    assert.equal(existsSync(join(directory, "t", "a")), false, "the other folder is not made either");

    const second = temporaryFolder(after);
    symlinkSync(outside, join(second, "t"));
    assert.equal((await download(shared, second)).error?.code, "STORAGE_PATH");
    assert.deepEqual(readdirSync(outside), []);
  });

  it("no torrent writes where resume data and locks lie, whatever its name", async () => {
    const victim = await makeShared(100_000);
    const hash = victim.metainfo.infoHashHex;
    const names = [`.${hash}.resume`, `.${hash}.lock`];
    for (const name of names) {
      const folder = temporaryFolder(after);
      writeFileSync(join(folder, name), bytesOf(5, 50_000));
      const metainfo = parseMetainfo(await createTorrentFile(join(folder, name)));
      const directory = temporaryFolder(after);
      const { error } = await download({ folder, metainfo, data: Buffer.alloc(0) }, directory);
      assert.equal(error, undefined);
      // Whatever it is named like, it is data, and stays when the torrent of that hash comes and goes.
      assert.equal((await download(victim, directory)).fetched, 100_000);
      assert.deepEqual(readFileSync(join(directory, name)), bytesOf(5, 50_000));
    }
    for (const name of [".scatterwire", ".ScatterWire", ".scatter\u200bwire", ".scatterwire. "]) {
      const { folder, metainfo } = await share({ x: Buffer.from("forged") }, "t");
      const files = metainfo.files.map((file) => ({ ...file, path: [name, `${hash}.resume`] }));
      const forged: Metainfo = { ...metainfo, name, files };
      const directory = temporaryFolder(after);
      const session = new Session();
      await assert.rejects(session.add(forged, { directory }), { code: "STORAGE_PATH" });
      await session.close();
      assert.ok(!namesBelow(directory).some((path) => path.endsWith(".resume")), folder);
    }
  });

  it("a link where our own file goes is not followed", async () => {
    const shared = await makeShared(100_000);
    const directory = temporaryFolder(after);
    const precious = join(temporaryFolder(after), "precious");
    writeFileSync(precious, "mine");
    const hash = shared.metainfo.infoHashHex;
    symlinkSync(precious, join(directory, `.${hash}.resume.new`));
    mkdirSync(join(directory, ".scatterwire"));
    symlinkSync(precious, join(directory, ".scatterwire", `${hash}.resume.new`));
    assert.equal((await download(shared, directory)).error, undefined);
    assert.equal(readFileSync(precious, "utf8"), "mine");

    const second = temporaryFolder(after);
    const outside = temporaryFolder(after);
    symlinkSync(outside, join(second, ".scatterwire"));
    assert.equal((await download(shared, second)).error?.code, "STORAGE_PATH");
    assert.deepEqual(readdirSync(outside), []);
  });

  it("two paths of one file are refused before anything is written", async () => {
    const shared = await share(TWO);
    for (const storage of ["file", "mapped"] as const) {
      const directory = temporaryFolder(after);
      mkdirSync(join(directory, "t", "a"), { recursive: true });
      mkdirSync(join(directory, "t", "b"));
      writeFileSync(join(directory, "t", "a", "one"), "precious");
      linkSync(join(directory, "t", "a", "one"), join(directory, "t", "b", "two"));
      const { error } = await download(shared, directory, { storage });
      assert.equal(error?.code, "STORAGE_PATH");
      assert.match(error.message, /one and .*two are one file on disk/);
      assert.equal(readFileSync(join(directory, "t", "a", "one"), "utf8"), "precious");
    }
  });

  it("a FIFO in a file's place is refused by name, and nobody waits for its writer", async () => {
    const shared = await share(TWO);
    const directory = temporaryFolder(after);
    mkdirSync(join(directory, "t", "a"), { recursive: true });
    execFileSync("mkfifo", [join(directory, "t", "a", "one")]);
    const { error } = await download(shared, directory);
    assert.match(error?.message ?? "", /one is not a regular file/);
  });
});

/** Blocks until this long come in one message; pieces that are shorter are a block each. */
const SMALL_PIECES = [1, 7, 1000, 5001, 16_383];

describe("torrents as others make them", { timeout: 60_000 }, () => {
  for (const pieceLength of SMALL_PIECES) {
    it(`pieces of ${pieceLength} bytes are fetched, stored, checked and seeded`, async () => {
      const folder = temporaryFolder(after);
      const length = Math.min(100_000, 1500 * pieceLength + 1);
      const data = bytesOf(3, length);
      writeFileSync(join(folder, "data.bin"), data);
      const digests: Buffer[] = [];
      for (let at = 0; at < length; at += pieceLength)
        digests.push(
          createHash("sha1")
            .update(data.subarray(at, at + pieceLength))
            .digest(),
        );
      const info = { length, name: "data.bin", "piece length": pieceLength, pieces: Buffer.concat(digests) };
      const metainfo = parseMetainfo(bencode.encode({ info }));
      for (const storage of ["file", "direct", "mapped"] as const) {
        const directory = temporaryFolder(after);
        const { error } = await download({ folder, metainfo, data }, directory, { storage });
        assert.equal(error, undefined);
        assert.deepEqual(readFileSync(join(directory, "data.bin")), data);
      }
    });
  }

  it("a torrent whose padding is not zeros is refused, for it would be served wrong, and no peer is blamed", async () => {
    const folder = temporaryFolder(after);
    const shape = [
      { path: ["t", "a"], length: 20_000, offset: 0 },
      { path: ["t", ".pad", "1"], length: 12_768, offset: 20_000 },
      { path: ["t", "b"], length: 30_000, offset: 32_768 },
    ];
    const stream = bytesOf(4, 62_768);
    mkdirSync(join(folder, "t", ".pad"), { recursive: true });
    for (const { path, length, offset } of shape)
      writeFileSync(join(folder, ...path), stream.subarray(offset, offset + length));
    const digests = [0, 32_768].map((at) =>
      createHash("sha1")
        .update(stream.subarray(at, at + 32_768))
        .digest(),
    );
    const { metainfo } = await makeShared(100_000);
    const asStored = {
      ...metainfo,
      pieceLength: 32_768,
      totalLength: stream.length,
      pieces: Buffer.concat(digests),
      files: shape.map((file) => ({ ...file, padding: false })),
    };
    const asPadded = { ...asStored, files: shape.map((file, index) => ({ ...file, padding: index === 1 })) };
    const seeding = await seed({ folder, metainfo: asStored, data: stream });
    const session = new Session();
    const torrent = await session.add(asPadded, {
      directory: temporaryFolder(after),
      peers: [seeding.address],
    });
    const blamed: unknown[] = [];
    torrent.on("pieceFailed", (piece) => blamed.push(piece));
    torrent.on("peerBanned", (address) => blamed.push(address));
    await assert.rejects(torrent.done, {
      code: "STORAGE_PADDING",
      message: /^piece 0 .* padding that is not zeros/,
    });
    assert.equal(torrent.have.has(0), false);
    assert.deepEqual(blamed, []);
    await session.close();
    await seeding.session.close();
  });
});

describe("data that is there", { timeout: 60_000 }, () => {
  it("complete data of which a file may not be written is seen to be complete", async () => {
    const shared = await share(TWO);
    for (const storage of ["file", "direct", "mapped"] as const) {
      const directory = temporaryFolder(after);
      execFileSync("cp", ["-r", join(shared.folder, "t"), directory]);
      chmodSync(join(directory, "t", "a", "one"), 0o444);
      const outcome = await asNobody([directory, shared.folder], () =>
        download(shared, directory, { storage }),
      );
      assert.deepEqual([outcome.error, outcome.fetched], [undefined, 0]);
    }
  });

  it("complete data of which a file is linked inside the folder is seen to be complete", async () => {
    const shared = await share(TWO);
    for (const storage of ["file", "mapped"] as const) {
      const directory = temporaryFolder(after);
      execFileSync("cp", ["-r", join(shared.folder, "t"), directory]);
      renameSync(join(directory, "t", "a", "one"), join(directory, "elsewhere"));
      symlinkSync("../../elsewhere", join(directory, "t", "a", "one"));
      const { error, fetched } = await download(shared, directory, { storage });
      assert.deepEqual([error, fetched], [undefined, 0]);
    }
  });

  for (const storage of ["file", "direct", "mapped"] as const) {
    it(`of which pieces are missing is seeded as it is where nothing may be written (${storage})`, async () => {
      const shared = await share(TWO);
      const seeding = await seed(shared);
      const directory = temporaryFolder(after);
      execFileSync("cp", ["-r", join(shared.folder, "t"), directory]);
      truncateSync(join(directory, "t", "b", "two"), 10);
      const before = readFileSync(join(directory, "t", "a", "one"));
      const session = new Session();
      const address = await session.listen({ host: "127.0.0.1", port: 0 });
      const peers = [seeding.address];
      const errors = await collectUncaught(async () => {
        const torrent = await session.add(shared.metainfo, { directory, readOnly: true, storage, peers });
        await assert.rejects(torrent.done, { code: "STORAGE_READ_ONLY", message: /3 of 5 pieces/ });
        assert.equal(torrent.state, "seeding");
        // Whoever comes gets what is there, and only that.
        const leecher = new Session();
        const other = await leecher.add(shared.metainfo, { storage: "memory", peers: [address] });
        while (other.progress().piecesVerified < 3) await new Promise((resolve) => setImmediate(resolve));
        await leecher.close();
        assert.equal(torrent.counters().payloadBytes, 0);
        await session.close();
      });
      assert.deepEqual(errors, []);
      assert.deepEqual(readFileSync(join(directory, "t", "a", "one")), before);
      assert.deepEqual(namesBelow(directory), ["t", "t/a", "t/a/one", "t/b", "t/b/two"]);
      await seeding.session.close();
    });
  }

  it("is looked for, and written to, where the options said when the torrent was added", async () => {
    const shared = await share(TWO);
    const seeding = await seed(shared);
    const [work, elsewhere] = [temporaryFolder(after), temporaryFolder(after)];
    // One byte is wrong: all is read first, and then opened anew for writing.
    execFileSync("cp", ["-r", join(shared.folder, "t"), work]);
    writeFileSync(join(work, "t", "b", "two"), Buffer.alloc(50_000));
    const before = process.cwd();
    process.chdir(work);
    const options: TorrentOptions = { directory: ".", peers: [seeding.address] };
    const session = new Session();
    const torrent = session.addInBackground(shared.metainfo, options);
    options.directory = elsewhere;
    process.chdir(elsewhere);
    try {
      await torrent.done;
      await session.close();
    } finally {
      process.chdir(before);
    }
    assert.deepEqual(namesBelow(elsewhere), []);
    assert.deepEqual(readFileSync(join(work, "t", "b", "two")), TWO["b/two"]);
    assert.deepEqual(
      readdirSync(join(work, ".scatterwire")).map((name) => name.slice(40)),
      [".resume"],
    );
    await seeding.session.close();
  });

  it("what is missing is fetched beside a complete file that may not be written", async () => {
    const files = { one: bytesOf(1, 2 * PIECE_LENGTH), two: bytesOf(2, 50_000) };
    const shared = await share(files);
    const directory = temporaryFolder(after);
    mkdirSync(join(directory, "t"));
    writeFileSync(join(directory, "t", "one"), files.one, { mode: 0o444 });
    const outcome = await asNobody([directory, shared.folder], () => download(shared, directory));
    assert.deepEqual([outcome.error, outcome.fetched], [undefined, 50_000]);
    assert.deepEqual(readFileSync(join(directory, "t", "two")), files.two);
  });

  it("a complete file that is all hole is not fetched again, and one that was only made is", async () => {
    const shared = await share({ hole: Buffer.alloc(4 * PIECE_LENGTH), data: bytesOf(1, 50_000) });
    const directory = temporaryFolder(after);
    execFileSync("cp", ["-r", join(shared.folder, "t"), directory]);
    const hole = join(directory, "t", "hole");
    rmSync(hole);
    writeFileSync(hole, "");
    truncateSync(hole, 4 * PIECE_LENGTH);
    assert.deepEqual(await download(shared, directory), { error: undefined, warnings: [], fetched: 0 });

    const random = await makeShared(100_000);
    const second = temporaryFolder(after);
    writeFileSync(join(second, "data.bin"), "");
    truncateSync(join(second, "data.bin"), 100_000);
    assert.equal((await download(random, second)).fetched, 100_000);
  });

  it("what was replaced after a death is fetched again, and told", async () => {
    const shared = await makeShared(10 * 65_536);
    const directory = temporaryFolder(after);
    assert.equal((await download(shared, directory)).fetched, 10 * 65_536);
    // As a process leaves it that was killed behind a checkpoint.
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { directory });
    const own = entryOf(
      readdirSync(join(directory, ".scatterwire")).filter((name) => name.endsWith(".resume")),
      0,
    );
    const record = join(directory, ".scatterwire", own);
    const running = readFileSync(record);
    await session.close();
    assert.equal(torrent.have.isFull, true);
    writeFileSync(record, running);
    writeFileSync(join(directory, "zeros"), Buffer.alloc(10 * 65_536));
    renameSync(join(directory, "zeros"), join(directory, "data.bin"));
    const { error, fetched, warnings } = await download(shared, directory);
    assert.deepEqual([error, fetched], [undefined, 10 * 65_536]);
    assert.match(warnings.join(), /^10 pieces that were verified before, in data\.bin, changed since/);
    assert.deepEqual(readFileSync(join(directory, "data.bin")), shared.data);
  });

  it("a file that may not be read is named, and is not fetched again", async () => {
    const shared = await share(TWO);
    const directory = temporaryFolder(after);
    execFileSync("cp", ["-r", join(shared.folder, "t"), directory]);
    chmodSync(join(directory, "t", "a", "one"), 0);
    const outcome = await asNobody([directory, shared.folder], () => download(shared, directory));
    assert.deepEqual([outcome.fetched, outcome.error?.code], [0, "STORAGE_UNREADABLE"]);
    assert.match(outcome.error?.message ?? "", /a\/one: EACCES/);
  });
});
