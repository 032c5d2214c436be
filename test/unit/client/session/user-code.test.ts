// The program that embeds us: what its listeners and callbacks throw is its own matter, and the engine goes on.

import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { MIB } from "../../../../src/base/limits.js";
import { UserCalls } from "../../../../src/base/user-calls.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { checkTorrent, createTorrentFile, PeerError, Session } from "../../../../src/index.js";
import { JobKind } from "../../../../src/native/binding.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { difference, temporaryFolder } from "../../../support/data.js";
import { systemError, withFs } from "../../../support/full-disk.js";
import { Program } from "../../../support/program.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { closeWhole, makeShared, nowhere, seed } from "./loopback.js";

const TIMEOUT = { timeout: 30_000 };

describe("Calls into the program", TIMEOUT, () => {
  it("are made in order, outside of whoever asked, and each whatever the one before threw", async () => {
    const calls = new UserCalls();
    const made: number[] = [];
    const errors = await collectUncaught(async () => {
      for (let index = 0; index < 5; index++) {
        calls.call((value) => {
          made.push(value);
          if (value % 2 === 1) throw new Error(`thrown by ${value}`);
        }, index);
      }
      assert.deepEqual(made, []);
      await calls.flushed();
    });
    assert.deepEqual(made, [0, 1, 2, 3, 4]);
    assert.deepEqual(errors.map(String), ["Error: thrown by 1", "Error: thrown by 3"]);
    assert.equal(calls.length, 0);
  });

  it("that cause themselves again and again do not stop the loop", async () => {
    const calls = new UserCalls();
    let count = 0;
    let stopped = false;
    const again = (): void => {
      count++;
      if (!stopped) calls.call(again, undefined);
    };
    calls.call(again, undefined);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    assert.ok(count > 1);
    stopped = true;
    await calls.flushed();
    assert.equal(calls.length, 0);
  });
});

describe("A bug of ours in a completion", TIMEOUT, () => {
  it("is heard of, and the rest of the batch is told: nothing waits for ever", async () => {
    const reactor = new Reactor(MIB);
    const bug = new TypeError("a bug made by a test");
    const answered: number[] = [];
    const owner = {
      jobDone: (tag: number): void => {
        answered.push(tag);
        if (tag === 1) throw bug;
      },
    };
    const errors = await collectUncaught(async () => {
      for (let tag = 0; tag < 4; tag++) {
        reactor.jobs.begin(JobKind.copy, owner, tag, 0, 65_536, 0);
        reactor.jobs.add(0, 4096);
        reactor.jobs.end();
      }
      await reactor.idle();
    });
    assert.deepEqual(answered.sort(), [0, 1, 2, 3]);
    assert.deepEqual(errors, [bug]);
    reactor.close();
  });
});

describe("Listeners that throw", TIMEOUT, () => {
  it("stop no download, no other listener, no completion, and blame no peer", async () => {
    const shared = await makeShared(2_000_000);
    const seeder = await seed(shared);
    const directory = temporaryFolder(after);
    const leecher = new Session();
    const told: Record<string, number> = {};
    const disconnected: unknown[] = [];
    const errors = await collectUncaught(async () => {
      const torrent = leecher.addInBackground(shared.metainfo, { directory });
      for (const name of ["ready", "peerConnected", "piece", "done"] as const) {
        torrent.on(name, () => {
          throw new PeerError("PEER_BAD_PIECE", `thrown in ${name}`);
        });
        torrent.on(name, () => {
          told[name] = (told[name] ?? 0) + 1;
        });
      }
      torrent.on("peerDisconnected", (_address, error) => disconnected.push(error));
      torrent.on("peerBanned", (_address, error) => disconnected.push(error));
      torrent.addPeer(seeder.address);
      await torrent.done;
      await sessionCoreOf(leecher).userCalls.flushed();
      await sessionCoreOf(leecher).reactor.idle();
      assert.equal(torrent.have.isFull, true);
    });
    const { pieceCount } = (await checkTorrent(shared.metainfo, directory)) ?? {};
    assert.deepEqual(told, { ready: 1, peerConnected: 1, piece: pieceCount, done: 1 });
    assert.equal(errors.length, pieceCount + 3);
    assert.deepEqual(
      disconnected.filter((error) => error instanceof PeerError && error.code === "PEER_BAD_PIECE"),
      [],
    );
    assert.equal(difference(join(shared.folder, "data.bin"), join(directory, "data.bin")), undefined);
    await closeWhole(leecher);
    await closeWhole(seeder.session);
  });

  it("are called when the turn is over: a torrent may be closed from any of them", async () => {
    const shared = await makeShared(500_000);
    const seeder = await seed(shared);
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, nowhere());
    const closed = new Promise<void>((resolve) => {
      torrent.once("piece", () => resolve(torrent.close()));
    });
    torrent.addPeer(seeder.address);
    await closed;
    await closeWhole(leecher);
    await closeWhole(seeder.session);
  });

  it("in trace and in onBlock stop neither", async () => {
    const shared = await makeShared(1_000_000);
    const seeder = await seed(shared);
    let traced = 0;
    let blocks = 0;
    const trace = (): void => {
      traced++;
      throw new Error("thrown in trace");
    };
    const leecher = new Session({ trace });
    const errors = await collectUncaught(async () => {
      const torrent = await leecher.add(
        shared.metainfo,
        nowhere({
          peers: [seeder.address],
          onBlock: () => {
            blocks++;
            throw new Error("thrown in onBlock");
          },
        }),
      );
      await torrent.done;
      await closeWhole(leecher);
    });
    assert.equal(blocks, Math.ceil(1_000_000 / 16_384));
    assert.equal(errors.length, traced + blocks);
    assert.ok(traced > 0);
    await closeWhole(seeder.session);
  });

  it("in the progress of a check do not end it", async () => {
    const shared = await makeShared(500_000);
    const errors = await collectUncaught(async () => {
      const onProgress = (): void => {
        throw new Error("thrown in onProgress");
      };
      assert.equal((await checkTorrent(shared.metainfo, shared.folder, { onProgress })).complete, true);
      assert.ok((await createTorrentFile(shared.folder, { onProgress })).length > 0);
    });
    assert.ok(errors.length > 0);
  });
});

describe("Warnings", TIMEOUT, () => {
  it("of the opening reach whoever listens later, once", async () => {
    const shared = await makeShared(100_000);
    await using session = new Session();
    const refusesDirect =
      (real: (...args: unknown[]) => unknown) =>
      (...args: unknown[]) => {
        if ((Number(args[1]) & constants.O_DIRECT) !== 0) throw systemError("EINVAL");
        return real(...args);
      };
    await withFs("openSync", refusesDirect, async () => {
      const torrent = await session.add(shared.metainfo, {
        directory: temporaryFolder(after),
        storage: "direct",
      });
      await new Promise((resolve) => setImmediate(resolve));
      const [text] = await once(torrent, "warning");
      assert.match(text, /direct/);
      let more = 0;
      torrent.on("warning", () => more++);
      await sessionCoreOf(session).userCalls.flushed();
      assert.equal(more, 0);
    });
  });
});

describe("Warnings of the opening", TIMEOUT, () => {
  it("are printed by the command line", async () => {
    const shared = await makeShared(200_000);
    const directory = temporaryFolder(after);
    const torrentFile = join(temporaryFolder(after), "t.torrent");
    writeFileSync(
      torrentFile,
      await createTorrentFile(join(shared.folder, "data.bin"), { pieceLength: 65_536 }),
    );
    const seeder = await seed(shared);
    const session = new Session();
    await (await session.add(shared.metainfo, { directory, peers: [seeder.address] })).done;
    await closeWhole(session);
    writeFileSync(join(directory, "data.bin"), Buffer.alloc(200_000));
    const peer = `${seeder.address.host}:${seeder.address.port}`;
    const download = Program.cli("download", torrentFile, "-o", directory, "--peer", peer);
    assert.equal(await download.ended, 0);
    assert.match(download.errors, /verified before, in data\.bin, changed since/);
    await closeWhole(seeder.session);
  });
});

describe("A session in its process", TIMEOUT, () => {
  const index = new URL("../../../../src/index.js", import.meta.url).href;
  const run = (code: string): Program =>
    new Program(process.execPath, [
      "--input-type=module",
      "-e",
      `import { Session } from "${index}";\n${code}`,
    ]);

  it("keeps Node alive while it holds something, and only then", async () => {
    const idle = run("new Session(); console.log('made');");
    assert.equal(await idle.ended, 0);
    assert.equal(idle.output.trim(), "made");
    const listening = run(`
      const session = new Session();
      await session.listen({ host: "127.0.0.1", port: 0 });
      setTimeout(() => { console.log("alive"); void session.close(); }, 50).unref();`);
    assert.equal(await listening.ended, 0);
    assert.equal(listening.output.trim(), "alive");
  });

  it("adds a torrent again as soon as an aborted one's `done` has told why", async () => {
    const shared = await makeShared(500_000);
    const directory = temporaryFolder(after);
    await using session = new Session();
    const controller = new AbortController();
    const first = await session.add(shared.metainfo, { directory, signal: controller.signal });
    const reason = new Error("enough");
    controller.abort(reason);
    await assert.rejects(first.done, { code: "ABORTED", cause: reason });
    const second = await session.add(shared.metainfo, { directory });
    assert.equal(second.state, "downloading");
    assert.equal(first.state, "closed");
    assert.equal(session.torrents.size, 1);
    assert.equal([...session.torrents][0], second);
  });

  it("keeps the reason of an abort, as a timeout's, also while it opens and in a check", async () => {
    const shared = await makeShared(500_000);
    await using session = new Session();
    const reason = new Error("enough");
    const opening = session.add(shared.metainfo, nowhere({ signal: AbortSignal.abort(reason) }));
    await assert.rejects(opening, { code: "ABORTED", cause: reason });
    const check = checkTorrent(shared.metainfo, shared.folder, { signal: AbortSignal.abort(reason) });
    await assert.rejects(check, { code: "ABORTED", cause: reason });
  });
});
