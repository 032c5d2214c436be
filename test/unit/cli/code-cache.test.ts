// What V8 compiled is kept between starts, and believed only where nobody else can have written it and all of it is there.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { codeCacheFolder, runCompiled } from "../../../src/cli/code-cache.js";
import { bytesOf, difference, temporaryFolder } from "../../support/data.js";
import { Program } from "../../support/program.js";
import { entryOf } from "../../support/required.js";

const BUNDLE = fileURLToPath(new URL("../../../bundle/", import.meta.url));
const AT_THE_END = { fromMs: 0, afterMs: 60_000 };
/** A verb of which there is something to compile: it sums its arguments, and answers with that as its status. */
const VERB = `
  const { existsSync } = require("node:fs");
  const add = (args) => args.reduce((sum, each) => sum + Number(each), 0);
  exports.sum = async (args) => add(args);
  exports.wait = async ([path]) => {
    while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
    return 130;
  };
  exports.ask = async () => { await import("node:dns"); return 0; };`;

interface Place {
  readonly file: string;
  readonly folder: string;
  /** Where the code of verb "sum" is kept. */
  readonly kept: string;
  start(...args: string[]): Promise<number>;
}

function place(): Place {
  const home = temporaryFolder(after);
  const file = join(home, "verbs-0123456789abcdef.cjs");
  const folder = join(home, "cache/scatterwire");
  writeFileSync(file, VERB);
  const name = (verb: string): string =>
    `code-verbs-0123456789abcdef-${verb}-${process.version}-${process.arch}`;
  return {
    file,
    folder,
    kept: join(folder, name("sum")),
    start: (...args) => runCompiled(file, "sum", args, folder, AT_THE_END),
  };
}

const inodeOf = (path: string): number => statSync(path).ino;

describe("compiled code", { timeout: 120_000 }, () => {
  it("is kept for the user alone, and taken the next time", async () => {
    const { folder, kept, start } = place();
    assert.equal(await start("1", "-1"), 0);
    assert.equal(statSync(kept).mode & 0o777, 0o600);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    const inode = inodeOf(kept);
    assert.equal(await start("2", "3"), 5, "the verb has its arguments, and its status is told");
    assert.equal(await start("2", "-2"), 0);
    assert.equal(inodeOf(kept), inode, "what was believed is not written again");
  });

  it("is not believed where a byte of it is another, or some are missing", async () => {
    const { kept, start } = place();
    await start();
    const whole = readFileSync(kept);
    const spoil: Record<string, () => void> = {
      "another byte": () => {
        const bytes = Buffer.from(whole);
        bytes[bytes.length >> 1] = entryOf(bytes, bytes.length >> 1) ^ 1;
        writeFileSync(kept, bytes);
      },
      "half of it": () => truncateSync(kept, whole.length >> 1),
      nothing: () => truncateSync(kept, 0),
      zeros: () => writeFileSync(kept, Buffer.alloc(whole.length)),
    };
    for (const [what, make] of Object.entries(spoil)) {
      make();
      const inode = inodeOf(kept);
      assert.equal(await start(), 0, what);
      assert.notEqual(inodeOf(kept), inode, `${what}: it is written anew`);
      assert.equal(readFileSync(kept).length > whole.length / 2, true, what);
    }
  });

  it("is not believed where others can write it, or where it is a link", async () => {
    const { kept, start } = place();
    await start();
    chmodSync(kept, 0o666);
    const inode = inodeOf(kept);
    await start();
    assert.notEqual(inodeOf(kept), inode, "others could write the file");
    renameSync(kept, `${kept}.elsewhere`);
    symlinkSync(`${kept}.elsewhere`, kept);
    const elsewhere = inodeOf(`${kept}.elsewhere`);
    await start();
    assert.notEqual(inodeOf(kept), elsewhere, "a link is replaced, and not followed");
  });

  it("is neither taken from nor put into a folder that others can write", async () => {
    const { folder, kept, start } = place();
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o777);
    assert.equal(await start(), 0);
    assert.ok(!existsSync(kept));
    chmodSync(folder, 0o700);
    await start();
    chmodSync(folder, 0o770);
    const inode = inodeOf(kept);
    assert.equal(await start(), 0);
    assert.equal(inodeOf(kept), inode);
  });

  it("is neither read from a FIFO nor written to one, whose other end nobody may ever open", async () => {
    const module = new URL("../../../src/cli/code-cache.js", import.meta.url).href;
    // Whoever waits for the other end hears no other signal.
    const prefix = ["timeout", "--signal", "KILL", "60"];
    for (const ending of ["", ".new"]) {
      const { file, folder, kept } = place();
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      execFileSync("mkfifo", ["--mode=600", `${kept}${ending}`]);
      const call = [file, "sum", ["4"], folder, AT_THE_END].map((each) => JSON.stringify(each)).join(", ");
      const script = `import { runCompiled } from "${module}"; process.exit(await runCompiled(${call}));`;
      const child = new Program(process.execPath, ["--input-type=module", "-e", script], { prefix });
      assert.equal(await child.ended, 4, `${ending}${child.errors}`);
    }
  });

  it("is not kept where that cannot be, and the verb runs", async () => {
    const { file } = place();
    assert.equal(await runCompiled(file, "sum", ["4"], join(file, "below"), AT_THE_END), 4);
  });

  it("is not kept of a start that failed, or ended before there was much of it", async () => {
    const { file, folder, kept, start } = place();
    assert.equal(await start("1"), 1);
    assert.equal(await runCompiled(file, "sum", [], folder, { fromMs: 3_600_000, afterMs: 3_600_000 }), 0);
    assert.ok(!existsSync(kept));
  });

  it("is kept while a verb goes on for long", async () => {
    const { file, folder, kept } = place();
    const path = kept.replace("-sum-", "-wait-");
    assert.equal(await runCompiled(file, "wait", [path], folder, { fromMs: 0, afterMs: 1 }), 130);
    assert.ok(existsSync(path));
  });

  it("takes the place of what was made of other texts, and of nothing else", async () => {
    const { folder, kept, start } = place();
    await start();
    const other = kept.replace("0123456789abcdef", "fedcba9876543210");
    writeFileSync(other, "older");
    writeFileSync(join(folder, "dht.state"), "nodes");
    writeFileSync(kept.replace("-sum-", "-wait-"), "of the same text");
    truncateSync(kept, 0);
    await start();
    const names = readdirSync(folder).sort();
    assert.deepEqual(
      names,
      [kept, kept.replace("-sum-", "-wait-"), "dht.state"].map((path) => path.split("/").at(-1)),
    );
  });

  it("imports what a verb asks for while it runs", async () => {
    const { file, folder } = place();
    for (let start = 0; start < 2; start++)
      assert.equal(await runCompiled(file, "ask", [], folder, AT_THE_END), 0);
  });

  it("is in the user's folder for such, or where the environment says, or nowhere", (test) => {
    const before = { ...process.env };
    test.after(() => {
      process.env = before;
    });
    process.env = { XDG_CACHE_HOME: "/cache" };
    assert.equal(codeCacheFolder(), "/cache/scatterwire");
    process.env = { XDG_CACHE_HOME: "/cache", SCATTERWIRE_CODE_CACHE: "/elsewhere" };
    assert.equal(codeCacheFolder(), "/elsewhere");
    process.env = { SCATTERWIRE_CODE_CACHE: "off" };
    assert.equal(codeCacheFolder(), undefined);
  });

  it("is kept of the bundle's seed and download, which do with it what they do without", async () => {
    const folder = temporaryFolder(after);
    const data = join(folder, "data.bin");
    writeFileSync(data, bytesOf(9, 1_000_000));
    const torrent = join(folder, "data.torrent");
    const code = join(folder, "code");
    const start = (place: string, ...args: string[]): Program => {
      const environment = { SCATTERWIRE_CODE_CACHE: place, SCATTERWIRE_DHT: "off" };
      const program = new Program(process.execPath, [join(BUNDLE, "main.js"), ...args], { environment });
      after(() => program.child.kill());
      return program;
    };
    const made = start("off", "create", data, "-o", torrent);
    assert.equal(await made.ended, 0, made.errors);
    const seeder = start(code, "seed", torrent, folder, "--listen", "127.0.0.1:0", "--json");
    const { port } = (await seeder.line("port")) as { port: number };
    for (const [index, place] of ["off", code, code].entries()) {
      const copy = join(folder, `copy${index}`);
      // Slowly enough that it is worth keeping.
      const leecher = start(
        place,
        "download",
        torrent,
        "-o",
        copy,
        "--max-download",
        "1M",
        "--peer",
        `127.0.0.1:${port}`,
      );
      assert.equal(await leecher.ended, 0, leecher.errors);
      assert.equal(difference(data, join(copy, "data.bin")), undefined);
      const kept = existsSync(code) ? readdirSync(code).filter((name) => name.includes("-download-")) : [];
      assert.equal(kept.length, place === "off" ? 0 : 1, place);
    }
    const wrong = start(code, "download", "--no-such-option");
    assert.equal(await wrong.ended, 2);
    assert.match(wrong.errors, /no-such-option/);
    assert.doesNotMatch(wrong.errors, /^ +at /m, "no stack trace");
  });
});
