// Running a tracker: its configuration, lists that are read again on SIGHUP, a user who may do less, and what is kept at its end.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { until } from "../support/clients.js";
import { Program } from "../support/program.js";
import { entryOf, required } from "../support/required.js";

const HASH = "a".repeat(20);
const HASH_HEX = "61".repeat(20);

function get(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("latin1");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    })
      .on("error", reject)
      .end();
  });
}

const announce = (port: number, event = ""): Promise<string> =>
  get(port, `/announce?info_hash=${HASH}&port=6881&left=${event === "completed" ? 0 : 1}&event=${event}`);

describe("scatterwire tracker", () => {
  const folder = mkdtemp(join(tmpdir(), "scatterwire-tracker-running-"));
  after(async () => rm(await folder, { recursive: true, force: true }));

  async function startWith(
    t: TestContext,
    config: object,
    ...more: string[]
  ): Promise<{ program: Program; port: number }> {
    const path = join(await folder, "tracker.json");
    await writeFile(path, JSON.stringify(config));
    const program = Program.cli("tracker", "--config", path, "--json", ...more);
    t.after(() => program.stop());
    const { port } = await program.line("port");
    return { program, port: Number(port) };
  }

  it("reads lists again on SIGHUP, all or none, and keeps downloads", { timeout: 120_000 }, async (t) => {
    const deny = join(await folder, "deny");
    await writeFile(deny, "# nothing yet\n");
    const config = { http: ["127.0.0.1:0"], memoryMib: 16, denyList: "deny", downloadsFile: "downloads" };
    const { program, port } = await startWith(t, config);
    await announce(port);
    await announce(port, "completed");
    assert.match(await get(port, `/scrape?info_hash=${HASH}`), /downloadedi1e/);
    const told = async (event: string, count: number): Promise<void> =>
      until(
        () => Promise.resolve(program.lines.filter((line) => line["event"] === event).length >= count),
        20_000,
      );
    await writeFile(deny, `${HASH_HEX}  # not this one\n`);
    program.child.kill("SIGHUP");
    await told("reloaded", 1);
    assert.match(await announce(port), /does not track this torrent/);
    await writeFile(deny, "no hash\n");
    program.child.kill("SIGHUP");
    await told("warning", 1);
    assert.match(String(entryOf(program.lines, -1)["message"]), /line 1: expected an info hash/);
    assert.match(await announce(port), /does not track this torrent/);
    await program.stop("SIGINT");
    const stopped = program.lines.at(-1) as { event: string; http: Record<string, number> };
    assert.equal(stopped.event, "stopped");
    assert.equal(stopped.http["refusedTorrents"], 2);
    await writeFile(deny, "");
    const again = await startWith(t, config);
    assert.match(await get(again.port, `/scrape?info_hash=${HASH}`), /downloadedi1e/);
  });

  it("reads no lists, keys or tokens but from regular files, and goes on with those that it has", {
    timeout: 120_000,
  }, async (t) => {
    const deny = join(await folder, "deny-again");
    const fifo = join(await folder, "fifo");
    execFileSync("mkfifo", [fifo]);
    await writeFile(deny, `${HASH_HEX}\n`);
    const config = { http: ["127.0.0.1:0"], memoryMib: 16, denyList: "deny-again" };
    const { program, port } = await startWith(t, config);
    const warning = async (text: RegExp): Promise<void> =>
      until(() => Promise.resolve(program.lines.some(({ message }) => text.test(String(message)))), 20_000);
    for (const path of [fifo, await folder]) {
      await rm(deny);
      await symlink(path, deny);
      program.child.kill("SIGHUP");
      await warning(/deny-again: not a regular file/);
      assert.match(await announce(port), /does not track this torrent/);
      program.lines.length = 0;
    }
    await rm(deny);
    await writeFile(deny, "");
    program.child.kill("SIGHUP");
    await until(() => Promise.resolve(program.lines.some(({ event }) => event === "reloaded")), 20_000);
    assert.doesNotMatch(await announce(port), /does not track this torrent/);
    await program.stop("SIGTERM");
    const path = join(await folder, "odd.json");
    for (const key of ["allowList", "keysFile", "tokenFile", "connectionKeyFile", "downloadsFile"]) {
      await writeFile(path, JSON.stringify({ ...config, metrics: "127.0.0.1:0", [key]: fifo }));
      const refused = Program.cli("tracker", "--config", path);
      t.after(() => refused.stop());
      const { status, errors } = await refused.result();
      assert.equal(status, 2, key);
      assert.match(errors, /fifo: not a regular file/, key);
    }
  });

  it("keeps its counts of downloads, and ends, where a FIFO lies beside their file", {
    timeout: 120_000,
  }, async (t) => {
    const downloadsFile = join(await folder, "counts");
    execFileSync("mkfifo", [`${downloadsFile}.new`]);
    const { program } = await startWith(t, { http: ["127.0.0.1:0"], memoryMib: 16, downloadsFile });
    // Whoever waits for the reader of a FIFO is ended by no signal but the one that comes then.
    await program.stop("SIGTERM");
    assert.equal(program.lines.at(-1)?.["event"], "stopped");
    assert.equal((await readFile(downloadsFile)).toString("latin1", 0, 8), "SWDOWNL1");
  });

  it("takes connection ids of trackers that have the same key, and of no others", {
    timeout: 120_000,
  }, async (t) => {
    await writeFile(join(await folder, "key"), `${"0123456789abcdef".repeat(2)}\n`);
    const udp = { udp: ["127.0.0.1:0"], connectionMinutes: 3, peersPerTorrentMax: 100 };
    const one = await startWith(t, { ...udp, connectionKeyFile: "key" });
    const same = await startWith(t, { ...udp, connectionKeyFile: "key", workers: 2 });
    const other = await startWith(t, udp);
    const socket = createSocket("udp4");
    t.after(() => socket.close());
    // A datagram may be lost; the ids hold for minutes.
    const ask = async (port: number, request: Buffer, tries: number): Promise<Buffer | undefined> => {
      for (let count = 0; count < tries; count++) {
        const heard = new Promise<Buffer | undefined>((resolve) => {
          const timer = setTimeout(() => resolve(undefined), 500);
          socket.once("message", (message, from) => {
            clearTimeout(timer);
            resolve(from.port === port ? message : undefined);
          });
        });
        socket.send(request, port, "127.0.0.1");
        const answer = await heard;
        socket.removeAllListeners("message");
        if (answer !== undefined) return answer;
      }
      return undefined;
    };
    const connect = Buffer.alloc(16);
    connect.writeBigUInt64BE(0x41727101980n);
    const connected = await ask(one.port, connect, 60);
    assert.ok(connected?.length === 16, "the first tracker gives an id");
    const scrape = Buffer.alloc(36);
    connected.copy(scrape, 0, 8, 16);
    scrape.writeUInt32BE(2, 8);
    assert.equal((await ask(one.port, scrape, 60))?.length, 20);
    assert.equal((await ask(same.port, scrape, 60))?.length, 20, "the same key");
    assert.equal(await ask(other.port, scrape, 2), undefined, "another key");
  });

  it("names the key that may have been meant", async () => {
    for (const [config, said] of [
      [{ htpp: [] }, /unknown key "htpp": did you mean http\?/],
      [
        { httpLimits: { connectionMax: 1 } },
        /httpLimits: unknown key "connectionMax": did you mean connectionsMax\?/,
      ],
      [{ http: "127.0.0.1:1" }, /http: expected a list of texts, not "127.0.0.1:1"/],
      [{ memoryMib: 0 }, /memoryMib: expected a whole number from 1 to 65536, not 0/],
      [{ http: ["127.0.0.1:0"], user: "nobody" }, /user and group go together/],
      [
        { udp: ["127.0.0.1:0"], connectionMinutes: 17 },
        /connectionMinutes: expected a whole number from 1 to 16/,
      ],
      [
        { udp: ["127.0.0.1:0"], connectionKeyFile: "wrong.json" },
        /wrong\.json: expected a key of 32 hex digits/,
      ],
      [{}, /where to receive\?/],
    ] as const) {
      const path = join(await folder, "wrong.json");
      await writeFile(path, JSON.stringify(config));
      const { status, errors } = await Program.cli("tracker", "--config", path).result();
      assert.equal(status, 2, errors);
      assert.match(errors, said);
    }
  });

  it("becomes the user it is told to, or says that it cannot", async (t) => {
    const config = { http: ["127.0.0.1:0"], memoryMib: 16, user: "nobody", group: "nogroup" };
    if (required(process.getuid, "getuid")() === 0) {
      await chmod(await folder, 0o755);
      const { program, port } = await startWith(t, config);
      const status = await readFile(`/proc/${program.child.pid}/status`, "utf8");
      assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
      assert.match(status, /^Gid:\t65534\t65534\t65534\t65534$/m);
      assert.match(status, /^Groups:\s*$/m);
      assert.match(await announce(port), /incompletei1e/);
    } else await assert.rejects(startWith(t, config), /cannot become nobody:nogroup/);
  });
});
