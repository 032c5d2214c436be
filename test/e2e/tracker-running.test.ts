// Running a tracker: its configuration, lists that are read again on SIGHUP, a user who may do less, and what is kept at its end.

import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { until } from "../support/clients.js";
import { Program } from "../support/program.js";

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
    assert.match(String(program.lines.at(-1)!["message"]), /line 1: expected an info hash/);
    assert.match(await announce(port), /does not track this torrent/);
    await program.stop("SIGINT");
    const stopped = program.lines.at(-1) as { event: string; http: Record<string, number> };
    assert.equal(stopped.event, "stopped");
    assert.equal(stopped.http["refusedTorrents"], 2);
    await writeFile(deny, "");
    const again = await startWith(t, config);
    assert.match(await get(again.port, `/scrape?info_hash=${HASH}`), /downloadedi1e/);
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
    if (process.getuid!() === 0) {
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
