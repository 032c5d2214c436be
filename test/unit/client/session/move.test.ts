// Torrents that are moved to another folder while they seed or download: by second names of the files, and by copies, with each call of the
// system failing in turn, and with the process killed at each of them. It is somewhat long, because each end of a move is tried by names and by copies.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { moveCalls } from "../../../../src/client/storage/move-files.js";
import { ownFileIn } from "../../../../src/client/storage/own-files.js";
import { torrentCoreOf } from "../../../../src/client/torrent/torrent.js";
import {
  checkTorrent,
  createTorrentFile,
  type Metainfo,
  parseMetainfo,
  Session,
  type Torrent,
} from "../../../../src/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { required } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, seed } from "./loopback.js";
import { until } from "./raw-peer.js";

const TIMEOUT = { timeout: 240_000 };
const NAMES = ["a", "deep/er/b", "deep/c"];
const FIXTURE = fileURLToPath(new URL("move-fixture.js", import.meta.url));

type Calls = typeof moveCalls;
type Call = (...args: never[]) => Promise<unknown>;

/** Calls `before` with the name and the arguments of each call of the system that a move makes, while `body` runs. */
async function withCalls(
  before: (name: keyof Calls, args: readonly unknown[]) => void,
  body: () => Promise<void>,
): Promise<void> {
  const real = { ...moveCalls };
  for (const name of Object.keys(real) as (keyof Calls)[])
    Object.assign(moveCalls, {
      [name]: async (...args: never[]) => {
        before(name, args);
        return (real[name] as Call)(...args);
      },
    });
  try {
    await body();
  } finally {
    Object.assign(moveCalls, real);
  }
}

const failure = (code: string): Error =>
  Object.assign(new Error(`${code}: made by a test`), { code, errno: -5 });

/** As between two file systems: files of `from` have no second names elsewhere. */
function isLinkFrom(from: string, name: keyof Calls, args: readonly unknown[]): boolean {
  return name === "link" && !String(args[0]).includes(".moving") && String(args[0]).startsWith(from);
}

interface Shared {
  readonly metainfo: Metainfo;
  readonly from: string;
  readonly to: string;
}

async function makeFiles(): Promise<Shared> {
  const root = temporaryFolder(after);
  const from = join(root, "from");
  for (const name of NAMES) {
    mkdirSync(dirname(join(from, "t", name)), { recursive: true });
    writeFileSync(join(from, "t", name), bytesOf(name.length, 70_000));
  }
  const metainfo = parseMetainfo(await createTorrentFile(join(from, "t"), { pieceLength: 16_384 }));
  return { metainfo, from, to: join(root, "further", "to") };
}

/** What is in a folder, our own apart. */
const namesIn = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder).filter((name) => name !== ".scatterwire") : [];

async function isWhole(metainfo: Metainfo, folder: string): Promise<boolean> {
  return (await checkTorrent(metainfo, folder)).complete;
}

/** Somebody else gets all of it. */
async function serves(torrent: Torrent, session: Session): Promise<void> {
  const address = session.listenAddress ?? (await session.listen({ host: "127.0.0.1", port: 0 }));
  const other = new Session();
  const leecher = await other.add(required(torrent.metainfo, "metainfo"), nowhere({ peers: [address] }));
  await leecher.done;
  await closeWhole(other);
}

describe("A torrent that is moved", TIMEOUT, () => {
  for (const copies of [false, true])
    it(`${copies ? "to another file system is copied and hashed" : "keeps its files, and hashes nothing"}, seeds on, and is found there`, async () => {
      const { metainfo, from, to } = await makeFiles();
      const session = new Session();
      const torrent = await session.add(metainfo, { directory: from });
      await serves(torrent, session);
      const inode = statSync(join(from, "t", "a")).ino;
      let checks = 0;
      torrent.on("checking", () => checks++);
      await withCalls(
        (name, args) => {
          if (copies && isLinkFrom(from, name, args)) throw failure("EXDEV");
        },
        () => torrent.move(to),
      );
      assert.equal(torrent.directory, to);
      assert.equal(torrent.state, "seeding");
      await torrent.done;
      assert.equal(statSync(join(to, "t", "a")).ino === inode, !copies);
      assert.equal(checks > 0, copies, "copies are hashed");
      assert.deepEqual(namesIn(from), []);
      assert.deepEqual(readdirSync(join(to, ".scatterwire")).sort(), [
        `${metainfo.infoHashHex}.resume`,
        "lock",
      ]);
      await serves(torrent, session);
      await closeWhole(session);
      const again = new Session();
      const found = again.addInBackground(metainfo, { directory: to });
      let hashed = 0;
      found.on("checking", () => hashed++);
      await found.ready;
      assert.deepEqual([found.state, hashed], ["seeding", 0]);
      await closeWhole(again);
    });

  it("downloads on in the new folder", async () => {
    const shared = await makeShared(3_000_000, 32_768);
    const seeder = await seed(shared, { maxUploadBytesPerSecond: 1_000_000 });
    const from = temporaryFolder(after);
    const to = join(from, "below");
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { directory: from, peers: [seeder.address] });
    await until(() => torrent.progress().piecesVerified > 2);
    await torrent.move(to);
    assert.ok(torrent.progress().piecesVerified > 2, "what was verified is");
    seeder.session.setRateLimits({ maxUploadBytesPerSecond: 0 });
    torrent.addPeer(seeder.address);
    await torrent.done;
    assert.ok(readFileSync(join(to, "data.bin")).equals(shared.data));
    assert.deepEqual(namesIn(from), ["below"]);
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  for (const copies of [false, true])
    it(`stays where it was whichever call fails, ${copies ? "copied" : "by second names"}`, async () => {
      const { metainfo, from, to } = await makeFiles();
      const session = new Session();
      const torrent = await session.add(metainfo, { directory: from });
      let failing = 1;
      for (let isMoved = false; !isMoved; failing++) {
        let calls = 0;
        let failed = "";
        await withCalls(
          (name, args) => {
            if (copies && isLinkFrom(from, name, args)) throw failure("EXDEV");
            if (++calls !== failing) return;
            failed = `${name} ${String(args[0])}`;
            throw failure("EIO");
          },
          async () => {
            const moved = await torrent.move(to).then(
              () => undefined,
              (error: unknown) => error,
            );
            isMoved = moved === undefined;
            // What is left in our own folder when all is done is told, and no failure.
            if (isMoved) assert.ok(failed === "" || failed.includes(".moving"), failed);
            else assert.equal((moved as { code?: string }).code, "STORAGE_IO", failed);
          },
        );
        if (isMoved) break;
        assert.deepEqual([torrent.state, torrent.directory], ["seeding", from], failed);
        assert.ok(await isWhole(metainfo, from), failed);
        assert.equal(existsSync(to), false, `nothing stays there: ${failed}`);
      }
      assert.ok(failing > 20, `${failing} calls failed in turn`);
      assert.ok(await isWhole(metainfo, to));
      assert.deepEqual(namesIn(from), []);
      await serves(torrent, session);
      await closeWhole(session);
    });

  for (const [what, method, code, expected] of [
    ["the disk is full", "write", "ENOSPC", "STORAGE_NO_SPACE"],
    ["nothing can be made durable", "sync", "EIO", "STORAGE_IO"],
    ["what was copied is short", "truncate", "EIO", "STORAGE_IO"],
  ] as const)
    it(`stays where it was when ${what}`, async () => {
      const { metainfo, from, to } = await makeFiles();
      const session = new Session();
      const torrent = await session.add(metainfo, { directory: from });
      const { open } = moveCalls;
      moveCalls.open = async (...args: Parameters<Calls["open"]>) => {
        const handle = await open(...args);
        if (String(args[0]).includes(".moving"))
          Object.assign(handle, {
            [method]: () =>
              Promise.reject(Object.assign(failure(code), { errno: code === "ENOSPC" ? -28 : -5 })),
          });
        return handle;
      };
      try {
        await withCalls(
          (name, args) => {
            if (isLinkFrom(from, name, args)) throw failure("EXDEV");
          },
          () => assert.rejects(torrent.move(to), { code: expected }),
        );
      } finally {
        moveCalls.open = open;
      }
      assert.deepEqual([torrent.state, torrent.directory], ["seeding", from]);
      assert.equal(existsSync(to), false);
      await serves(torrent, session);
      await closeWhole(session);
    });

  it("overwrites nothing, and is not moved where another session has it, or it cannot be", async () => {
    const { metainfo, from, to } = await makeFiles();
    mkdirSync(join(to, "t", "deep"), { recursive: true });
    writeFileSync(join(to, "t", "deep", "c"), "mine");
    // Of a download of the same torrent that was stopped there.
    const resume = ownFileIn(to, `${metainfo.infoHashHex}.resume`);
    mkdirSync(dirname(resume), { recursive: true });
    writeFileSync(resume, "claims");
    const session = new Session();
    const torrent = await session.add(metainfo, { directory: from });
    await assert.rejects(torrent.move(to), { code: "STORAGE_EXISTS" });
    assert.equal(readFileSync(resume, "utf8"), "claims");
    assert.equal(readFileSync(join(to, "t", "deep", "c"), "utf8"), "mine");
    assert.deepEqual(readdirSync(join(to, "t")), ["deep"]);
    assert.equal(torrent.state, "seeding");
    const file = join(dirname(from), "file");
    writeFileSync(file, "");
    await assert.rejects(torrent.move(file), { code: /^STORAGE_/ });
    await assert.rejects(torrent.move(join(file, "below")), { code: /^STORAGE_/ });
    await torrent.move(from);
    await assert.rejects(torrent.move(""), { code: "USAGE_OPTION" });
    const elsewhere = join(dirname(from), "elsewhere");
    const other = new Session();
    await other.add(metainfo, { directory: elsewhere });
    await assert.rejects(torrent.move(elsewhere), { code: "STORAGE_LOCKED" });
    await closeWhole(other);
    assert.equal(torrent.state, "seeding");
    assert.ok(await isWhole(metainfo, from));
    const third = join(dirname(from), "third");
    const [first, second] = [torrent.move(third), torrent.move(join(third, "again"))];
    // Whoever comes later is refused, a check as well.
    const check = torrent.recheck();
    await Promise.all([second, check].map((late) => assert.rejects(late, { code: "USAGE_STATE" })));
    await first;
    await closeWhole(session);
    await assert.rejects(torrent.move(from), { code: "USAGE_STATE" });
    const without = new Session();
    const memory = await without.add(metainfo, { storage: "memory" });
    await assert.rejects(memory.move(from), { code: "USAGE_STATE" });
    await memory.close();
    const reading = await without.add(metainfo, { directory: third, readOnly: true });
    await assert.rejects(reading.move(from), { code: "USAGE_STATE" });
    await closeWhole(without);
  });

  it("that is closed meanwhile is whole where it was, or where it went", async () => {
    for (let at = 1; at < 60; at += 12) {
      const { metainfo, from, to } = await makeFiles();
      const session = new Session();
      const torrent = await session.add(metainfo, { directory: from });
      let calls = 0;
      let closing: Promise<void> | undefined;
      await withCalls(
        () => {
          if (++calls === at) closing = torrent.close();
        },
        async () => {
          const result = await torrent.move(to).then(
            () => "moved",
            (error: { code: string }) => error.code,
          );
          if (closing !== undefined) assert.equal(result, "ABORTED");
        },
      );
      await closing;
      await closeWhole(session);
      assert.ok((await isWhole(metainfo, from)) || (await isWhole(metainfo, to)));
      const again = new Session();
      const directory = (await isWhole(metainfo, from)) ? from : to;
      assert.equal((await again.add(metainfo, { directory })).state, "seeding");
      await closeWhole(again);
    }
  });

  for (const copies of [false, true])
    it(`that is removed with its data meanwhile leaves nothing in either folder, ${copies ? "copied" : "by second names"}`, async () => {
      let wasMoved = false;
      for (let at = 1; !wasMoved; at += 7) {
        const { metainfo, from, to } = await makeFiles();
        const session = new Session();
        const torrent = await session.add(metainfo, { directory: from });
        let calls = 0;
        let removing: Promise<void> | undefined;
        await withCalls(
          (name, args) => {
            if (++calls === at) removing = torrent.remove({ data: true });
            if (copies && isLinkFrom(from, name, args)) throw failure("EXDEV");
          },
          () => torrent.move(to).catch(() => {}),
        );
        wasMoved = removing === undefined;
        await removing;
        await closeWhole(session);
        if (wasMoved) continue;
        assert.deepEqual([...namesIn(from), ...namesIn(to)], [], `removed at call ${at}`);
      }
    });

  it("is not read from meanwhile, and says so", async () => {
    const { metainfo, from, to } = await makeFiles();
    const session = new Session();
    const torrent = await session.add(metainfo, { directory: from });
    const reads: Promise<string>[] = [];
    const read = async (): Promise<string> => {
      try {
        (await torrent.read(0, 0, 16_384)).release();
        return "read";
      } catch (error) {
        return (error as { code?: string }).code ?? String(error);
      }
    };
    await withCalls(
      () => reads.push(read()),
      () => torrent.move(to),
    );
    const ends = new Set(await Promise.all(reads));
    assert.ok(ends.has("USAGE_STATE"));
    ends.delete("read");
    assert.deepEqual([...ends], ["USAGE_STATE"]);
    assert.equal(await read(), "read");
    await closeWhole(session);
  });

  it("that is removed with its data while the new folder is looked at leaves nothing in either folder", async () => {
    const { metainfo, from, to } = await makeFiles();
    const session = new Session();
    const torrent = await session.add(metainfo, { directory: from });
    let removing: Promise<void> | undefined;
    torrent.on("checking", () => {
      if (torrent.directory === to) removing ??= torrent.remove({ data: true });
    });
    await withCalls(
      (name, args) => {
        if (isLinkFrom(from, name, args)) throw failure("EXDEV");
      },
      () => assert.rejects(torrent.move(to), { code: "ABORTED" }),
    );
    assert.ok(removing !== undefined, "copies are hashed");
    await removing;
    assert.deepEqual([...namesIn(from), ...namesIn(to)], []);
    await closeWhole(session);
  });

  it("that is closed or removed in the same breath is closed, and is where it was", async () => {
    for (const end of [(torrent: Torrent) => torrent.close(), (torrent: Torrent) => torrent.remove()]) {
      const { metainfo, from, to } = await makeFiles();
      const session = new Session();
      const torrent = await session.add(metainfo, { directory: from });
      const states: string[] = [];
      for (const act of [() => torrent.move(to), () => torrent.recheck()]) {
        const acting = assert.rejects(act(), { code: /^(ABORTED|USAGE_STATE)$/ });
        await end(torrent);
        await acting;
        states.push(torrent.state);
      }
      assert.deepEqual(states, ["closed", "closed"]);
      assert.deepEqual([await isWhole(metainfo, from), existsSync(to)], [true, false]);
      await closeWhole(session);
    }
  });

  it("and cannot go on where it went says why", async () => {
    const { metainfo, from, to } = await makeFiles();
    const session = new Session();
    const torrent = await session.add(metainfo, { directory: from });
    const reason = failure("EIO");
    torrentCoreOf(torrent).swarm.layoutKnown = () => {
      throw reason;
    };
    await assert.rejects(torrent.move(to), reason);
    assert.deepEqual([torrent.state, torrent.directory], ["failed", to]);
    assert.ok(await isWhole(metainfo, to));
    await closeWhole(session);
  });

  for (const copies of [false, true])
    it(`with the process killed, ${copies ? "copied" : "by second names"}: one of the folders is whole, and the next move goes on`, async () => {
      for (const at of [8, 20, 36, 50]) {
        const { metainfo, from, to } = await makeFiles();
        const torrentFile = join(dirname(from), "t.torrent");
        writeFileSync(torrentFile, await createTorrentFile(join(from, "t"), { pieceLength: 16_384 }));
        const { signal, status } = spawnSync(process.execPath, [
          ...[FIXTURE, torrentFile, from, to, String(at), String(copies)],
        ]);
        assert.ok(signal === "SIGKILL" || status === 0);
        const session = new Session();
        const isThere = await isWhole(metainfo, from);
        assert.ok(isThere || (await isWhole(metainfo, to)), `killed at call ${at}`);
        const torrent = await session.add(metainfo, { directory: isThere ? from : to });
        assert.equal(torrent.state, "seeding");
        await withCalls(
          (name, args) => {
            if (copies && isLinkFrom(from, name, args)) throw failure("EXDEV");
          },
          () => torrent.move(to),
        );
        assert.equal(torrent.directory, to);
        assert.ok(await isWhole(metainfo, to), `moved after a kill at call ${at}`);
        const left = readdirSync(join(to, ".scatterwire")).filter((name) => name.endsWith(".moving"));
        if (isThere) assert.deepEqual(left, []);
        await closeWhole(session);
      }
    });
});
