// A process that has run out of descriptors: it says so, waits at no cost, and goes on when it has some again. In a process of its own,
// because the limit is one of processes.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { DescriptorBudget } from "../../../../src/base/descriptor-budget.js";
import { createTorrentFile, Session } from "../../../../src/index.js";
import { entryOf, required } from "../../../support/required.js";
import { closeWhole, makeShared, type Shared } from "./loopback.js";
import { knock, manyHosts } from "./raw-peers.js";

const FIXTURE = fileURLToPath(new URL("./descriptors-fixture.js", import.meta.url));
const HOST = "127.0.0.1";
/** Beside their seeder each has two ends of a connection, a file at both ends and one of resume data: nearly as many as there may be. */
const DOWNLOADS = 220;

interface Look {
  readonly connections: number;
  readonly cpuMs: number;
  readonly warnings: readonly string[];
  readonly canOpen: boolean;
}

class Fixture {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  port = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#answers = createInterface({ input: required(child.stdout, "stdout") })[Symbol.asyncIterator]();
  }

  static async start(shared: Shared, limit: number): Promise<Fixture> {
    const torrent = join(shared.folder, "data.torrent");
    writeFileSync(torrent, await createTorrentFile(join(shared.folder, "data.bin"), { pieceLength: 65_536 }));
    const child = spawn(
      "sh",
      ["-c", `ulimit -n ${limit}; exec "$0" "$@"`, process.execPath, FIXTURE, torrent, shared.folder],
      {
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    after(() => child.kill());
    const fixture = new Fixture(child);
    fixture.port = ((await fixture.#answer()) as { port: number }).port;
    return fixture;
  }

  async say(word: "fill" | "free" | "look"): Promise<Look> {
    required(this.#child.stdin, "stdin").write(`${word}\n`);
    return (await this.#answer()) as Look;
  }

  /** Asks until `holds`. */
  async until(holds: (look: Look) => boolean): Promise<Look> {
    for (let tries = 0; ; tries++) {
      const look = await this.say("look");
      if (holds(look)) return look;
      assert.ok(tries < 1000, "what was waited for came");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async end(): Promise<void> {
    required(this.#child.stdin, "stdin").end();
    const [code] = await once(this.#child, "exit");
    assert.equal(code, 0);
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#answers.next();
    assert.ok(done !== true, "the process lives");
    return JSON.parse(value);
  }
}

describe("Session: out of descriptors", { timeout: 60_000 }, () => {
  it("pauses accepting and says so, at no cost, and accepts those who waited when there are some again", async () => {
    const shared = await makeShared(100_000);
    const fixture = await Fixture.start(shared, 200);
    await fixture.say("fill");
    for (const from of manyHosts(10)) await knock({ host: HOST, port: fixture.port }, from);
    const { warnings, connections } = await fixture.until((look) => look.warnings.length > 0);
    assert.ok(connections <= 1, "a file that nobody reads makes room for one of them");
    assert.match(entryOf(warnings, 0), /EMFILE.* 200 descriptors; .*ulimit -n.* maxPeers/);
    await fixture.say("look");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const { cpuMs } = await fixture.say("look");
    assert.ok(cpuMs < 500, `${cpuMs} ms of CPU in 1.5 s of waiting`);
    await fixture.say("free");
    const after = await fixture.until((look) => look.connections === 10);
    assert.equal(after.warnings.length, 1, "it was said once");
    await fixture.end();
  });

  it("has no more connections than leave descriptors to files and to the host", async () => {
    const shared = await makeShared(100_000);
    const fixture = await Fixture.start(shared, 100);
    const most = new DescriptorBudget(100).max("connection");
    let closed = 0;
    for (const from of manyHosts(150)) {
      const socket = await knock({ host: HOST, port: fixture.port }, from);
      socket.resume().on("close", () => closed++);
    }
    // Strangers are a quarter of all at the most: whoever says its handshake stays.
    const { connections, canOpen, warnings } = await fixture.until(() => closed >= 150 - most);
    assert.ok(connections <= most, `${connections} of ${most}`);
    assert.equal(canOpen, true);
    assert.deepEqual(warnings, []);
    await fixture.end();
  });

  it("downloads that are many for the descriptors of their process wait for one another, and none fails", async () => {
    const shared = await makeShared(100_000);
    const index = new URL("../../../../src/index.js", import.meta.url).href;
    const program = `
      import { mkdirSync, writeFileSync } from "node:fs";
      import { join } from "node:path";
      import { createTorrentFile, parseMetainfo, Session } from ${JSON.stringify(index)};
      const [folder] = process.argv.slice(1);
      const [from, to] = ["from", "to"].map((name) => join(folder, name));
      for (const each of [from, to]) mkdirSync(each);
      const all = [];
      for (let count = 0; count < ${DOWNLOADS}; count++) {
        const path = join(from, "file-" + count);
        writeFileSync(path, Buffer.alloc(100_000, count));
        all.push(parseMetainfo(await createTorrentFile(path, { pieceLength: 32_768 })));
      }
      const [seeder, leecher] = [new Session(), new Session()];
      const { port } = await seeder.listen({ host: "${HOST}", port: 0 });
      for (const metainfo of all) await seeder.add(metainfo, { directory: from, readOnly: true });
      const torrents = all.map((metainfo) => leecher.addInBackground(metainfo, { directory: to }));
      for (const torrent of torrents) torrent.addPeer({ host: "${HOST}", port });
      const ends = await Promise.allSettled(torrents.map(({ done }) => done));
      const failures = ends.flatMap(({ reason }) => (reason === undefined ? [] : [reason.message]));
      console.log(JSON.stringify({ failed: failures.length, first: failures[0] ?? "" }));
      await leecher.close();
      await seeder.close();
      console.log("closed");`;
    const child = spawn(
      "sh",
      [
        "-c",
        `ulimit -n 256; exec "$0" --input-type=module -e "$1" "$2"`,
        process.execPath,
        program,
        shared.folder,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    after(() => child.kill());
    const lines: string[] = [];
    for await (const line of createInterface({ input: required(child.stdout, "stdout") })) lines.push(line);
    assert.deepEqual(lines, [JSON.stringify({ failed: 0, first: "" }), "closed"]);
  });

  it("what has no descriptor to be dialled with is no failed peer", async () => {
    // The child opens files until none is left, adds a torrent whose peer lives, and frees them.
    const shared = await makeShared(100_000);
    const seeder = new Session();
    const address = await seeder.listen({ host: HOST, port: 0 });
    await seeder.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const index = new URL("../../../../src/index.js", import.meta.url).href;
    const program = `
      import { closeSync, openSync } from "node:fs";
      import { readMetainfo, Session } from ${JSON.stringify(index)};
      const session = new Session();
      const warned = new Promise((resolve) => session.once("warning", resolve));
      const torrent = await session.add(await readMetainfo(process.argv[1]), { storage: "null" });
      torrent.on("peerDisconnected", () => console.log("failed"));
      const held = [];
      try { for (;;) held.push(openSync("/dev/null")); } catch {}
      torrent.addPeer({ host: "${HOST}", port: ${address.port} });
      await warned;
      for (const fd of held) closeSync(fd);
      await torrent.done;
      console.log("done");
      await session.close();`;
    const torrent = join(shared.folder, "data.torrent");
    writeFileSync(torrent, await createTorrentFile(join(shared.folder, "data.bin"), { pieceLength: 65_536 }));
    const child = spawn(
      "sh",
      ["-c", `ulimit -n 100; exec "$0" --input-type=module -e "$1" "$2"`, process.execPath, program, torrent],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const lines: string[] = [];
    for await (const line of createInterface({ input: required(child.stdout, "stdout") })) lines.push(line);
    assert.equal(lines[0], "done");
    await closeWhole(seeder);
  });
});
