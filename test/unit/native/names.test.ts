// Host names to addresses, with name servers that the test plays.

import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { type Ground, SYSTEM_GROUND } from "../../../src/base/ground.js";
import { SystemNames } from "../../../src/native/names.js";
import { temporaryFolder } from "../../support/data.js";

const TIMEOUT = { timeout: 60_000 };
const TYPE_A = 1;
const NXDOMAIN = 3;

interface NameServer {
  readonly address: string;
  /** "name A" or "name AAAA", in the order in which they were asked for. */
  readonly asked: string[];
}

/** Answers a query with addresses, with none, or (undefined) not at all. */
async function serveNames(
  t: TestContext,
  answer: (name: string, isV4: boolean) => readonly number[][] | undefined,
): Promise<NameServer> {
  const socket: Socket = createSocket("udp4");
  const asked: string[] = [];
  socket.on("message", (query, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join(".").toLowerCase();
    const isV4 = query.readUInt16BE(at + 1) === TYPE_A;
    asked.push(`${name} ${isV4 ? "A" : "AAAA"}`);
    const records = answer(name, isV4);
    if (records === undefined) return;
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(records.length > 0 ? 0x8180 : 0x8180 | NXDOMAIN, 2);
    head.writeUInt16BE(records.length, 6);
    head.fill(0, 8, 12);
    const body = records.map((bytes) => {
      const record = Buffer.from([0xc0, 12, 0, isV4 ? TYPE_A : 28, 0, 1, 0, 0, 0, 60, 0, bytes.length]);
      return Buffer.concat([record, Buffer.from(bytes)]);
    });
    socket.send(Buffer.concat([head, query.subarray(12, at + 5), ...body]), from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, asked };
}

function hostsFile(t: TestContext, text: string): string {
  const path = join(
    temporaryFolder((callback) => t.after(callback)),
    "hosts",
  );
  writeFileSync(path, text);
  return path;
}

function namesAt(
  t: TestContext,
  server: NameServer,
  ground: Ground = SYSTEM_GROUND,
  hosts = "",
): SystemNames {
  const names = new SystemNames(ground, { servers: [server.address], hostsFile: hostsFile(t, hosts) });
  t.after(() => names.close());
  return names;
}

const LOOPBACK_V6 = [...new Array<number>(15).fill(0), 1];

describe("host names", () => {
  it("that are addresses, or mean this machine, are asked of nobody", TIMEOUT, async (t) => {
    const server = await serveNames(t, () => undefined);
    const names = namesAt(t, server);
    assert.deepEqual(await names.resolve("192.0.2.1"), ["192.0.2.1"]);
    assert.deepEqual(await names.resolve("2001:db8::1"), ["2001:db8::1"]);
    assert.deepEqual(await names.resolve("Localhost"), ["127.0.0.1", "::1"]);
    assert.deepEqual(await names.resolve("a.localhost"), ["127.0.0.1", "::1"]);
    assert.deepEqual(server.asked, []);
  });

  it(
    "that are none, as of http://./, are asked of nobody either, and have no address",
    TIMEOUT,
    async (t) => {
      const server = await serveNames(t, () => [[192, 0, 2, 1]]);
      const names = new SystemNames(SYSTEM_GROUND, {
        servers: [server.address],
        hostsFile: hostsFile(t, "192.0.2.2 here\n"),
      });
      t.after(() => names.close());
      for (const name of [".", ""]) assert.deepEqual(await names.resolve(name), [], JSON.stringify(name));
      assert.deepEqual(server.asked, []);
    },
  );

  it("come from the hosts file first, whole ones only, and not from its remarks", TIMEOUT, async (t) => {
    const server = await serveNames(t, () => []);
    const hosts = `
# 192.0.2.9 tracker.example
::2  tracker.example
192.0.2.1\tother Tracker.Example   more # tracker.example
192.0.2.2 my.tracker.example tracker.example.org
no-address tracker.example`;
    const names = namesAt(t, server, SYSTEM_GROUND, hosts);
    assert.deepEqual(await names.resolve("TRACKER.example"), ["192.0.2.1", "::2"]);
    assert.deepEqual(await names.resolve("tracker.example.org"), ["192.0.2.2"]);
    assert.deepEqual(server.asked, []);
    assert.deepEqual(await names.resolve("racker.example"), []);
    assert.equal(server.asked.length > 0, true);
  });

  it(
    "are found in a hosts file of megabytes while the loop turns, wherever a part of it ends",
    TIMEOUT,
    async (t) => {
      const server = await serveNames(t, () => []);
      const lines = Array.from({ length: 60_000 }, (_, index) => `192.0.2.${index % 250} n${index}.example`);
      let turns = 0;
      const ground: Ground = {
        ...SYSTEM_GROUND,
        after: (ms, callback) => {
          turns++;
          return SYSTEM_GROUND.after(ms, callback);
        },
      };
      const names = namesAt(t, server, ground, lines.join("\n"));
      const wanted = Array.from({ length: 200 }, (_, index) => index * 299);
      const answers = await Promise.all(wanted.map((index) => names.resolve(`n${index}.example`)));
      for (const [at, index] of wanted.entries()) assert.deepEqual(answers[at], [`192.0.2.${index % 250}`]);
      assert.deepEqual(server.asked, []);
      assert.ok(turns >= 200, `${turns} turns for a file of ${lines.join("\n").length} bytes`);
    },
  );

  it(
    "that cannot be listed, since the hosts file is a folder, a pipe or gone, are asked for",
    TIMEOUT,
    async (t) => {
      const server = await serveNames(t, (_name, isV4) => (isV4 ? [[192, 0, 2, 5]] : []));
      const folder = temporaryFolder((callback) => t.after(callback));
      execFileSync("mkfifo", [join(folder, "pipe")]);
      for (const [index, path] of [folder, join(folder, "pipe"), join(folder, "none")].entries()) {
        const names = new SystemNames(SYSTEM_GROUND, { servers: [server.address], hostsFile: path });
        t.after(() => names.close());
        assert.deepEqual(await names.resolve(`t${index}.example`), ["192.0.2.5"]);
      }
    },
  );

  it("are asked for once, of both kinds, and again when the answer is old", TIMEOUT, async (t) => {
    const server = await serveNames(t, (_name, isV4) => [isV4 ? [192, 0, 2, 5] : LOOPBACK_V6]);
    let nowMs = 0;
    const names = namesAt(t, server, { ...SYSTEM_GROUND, nowMs: () => nowMs });
    const answers = await Promise.all([1, 2, 3].map(() => names.resolve("tracker.example.")));
    for (const answer of answers) assert.deepEqual(answer, ["192.0.2.5", "::1"]);
    nowMs = 4 * 60_000;
    await names.resolve("tracker.example");
    assert.deepEqual([...server.asked].sort(), ["tracker.example A", "tracker.example AAAA"]);
    nowMs = 6 * 60_000;
    await names.resolve("tracker.example");
    assert.equal(server.asked.length, 4);
  });

  it(
    "are asked for eight at a time, however many a torrent file has, and close() ends it",
    TIMEOUT,
    async (t) => {
      const server = await serveNames(t, () => undefined);
      const names = namesAt(t, server);
      const all = Array.from({ length: 200 }, (_, index) => names.resolve(`t${index}.example`));
      while (new Set(server.asked).size < 16) await new Promise((resolve) => setTimeout(resolve, 10));
      const first = new Set(server.asked);
      assert.equal(first.size, 16, "eight names, each of both kinds");
      names.close();
      for (const answer of await Promise.all(all)) assert.deepEqual(answer, []);
      assert.deepEqual(await names.resolve("late.example"), []);
      assert.deepEqual(new Set(server.asked), first, "those that waited are not asked for any more");
    },
  );
});
