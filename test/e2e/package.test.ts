// The package as somebody installs it: what `npm pack` takes, with the run-time dependencies beside it that it names and nothing
// else, in a folder of its own. Only the addon is brought, so that it need not be compiled again.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { Program } from "../support/program.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

describe("the package, installed", { timeout: 120_000 }, () => {
  const folder = temporaryFolder(after);
  const modules = join(folder, "node_modules");
  const home = join(modules, "scatterwire");
  const manifest = manifestOf(ROOT);
  const main = (): string => join(home, manifest.bin["scatterwire"]!);

  before(() => {
    mkdirSync(home, { recursive: true });
    const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    execFileSync("tar", ["-xzf", join(folder, filename), "--strip-components=1", "-C", home]);
    cpSync(join(ROOT, "build/Release/scatterwire.node"), join(home, "build/Release/scatterwire.node"));
    const link = (names: readonly string[]): void => {
      for (const name of names) {
        const target = join(modules, name);
        if (existsSync(target)) continue;
        mkdirSync(dirname(target), { recursive: true });
        symlinkSync(join(ROOT, "node_modules", name), target);
        link(Object.keys(manifestOf(target).dependencies ?? {}));
      }
    };
    link(Object.keys(manifest.dependencies ?? {}));
  });

  const run = async (...args: string[]): Promise<Program> => {
    // Links are not followed to where all other packages are.
    const program = new Program(process.execPath, ["--preserve-symlinks", main(), ...args], { cwd: folder });
    await program.ended;
    return program;
  };

  it("is an engine: it brings nothing to draw or to lay out tables with", () => {
    assert.deepEqual(Object.keys(manifest.dependencies ?? {}), [
      ...["bencode", "bitfield", "commander", "node-addon-api", "piece-length"],
    ]);
  });

  it("is imported by its name, and downloads", async () => {
    const script = join(folder, "use.mjs");
    writeFileSync(
      script,
      `import { createTorrentFile, parseMetainfo, Session } from "scatterwire";
         const metainfo = parseMetainfo(await createTorrentFile("data.bin"));
         const seeder = new Session({ listen: { host: "127.0.0.1", port: 0 } });
         await seeder.add(metainfo, { directory: ".", readOnly: true });
         const leecher = new Session();
         const torrent = await leecher.add(metainfo, { storage: "memory" });
         torrent.addPeer(await seeder.listen());
         await torrent.done;
         console.log(torrent.state);
         await Promise.all([leecher.close(), seeder.close()]);`,
    );
    writeFileSync(join(folder, "data.bin"), bytesOf(5, 3_000_000));
    const program = new Program(process.execPath, ["--preserve-symlinks", script], { cwd: folder });
    assert.deepEqual([await program.ended, program.output], [0, "seeding\n"], program.errors);
  });

  it("has a command line that makes, tells and checks", async () => {
    const created = await run("create", "data.bin", "--force");
    assert.match(created.output, /^data\.bin\.torrent: 1 file, 3\.00 MB/, created.errors);
    assert.match((await run("info", "data.bin.torrent")).output, /^name +data\.bin$/m);
    assert.match((await run("check", "data.bin.torrent", ".")).output, /^(\d+) of \1 pieces are good$/m);
    assert.equal((await run("--version")).output, `${manifest.version}\n`);
  });

  it("measures without the packages that only draw, and says which the report needs", async () => {
    const loopback = await run("bench", "loopback", "--size", "2M", "--runs", "1", "--modes", "adaptive");
    assert.match(loopback.output, /CPU s\/GB/, loopback.errors);
    const measured = await run(
      ...["bench", "receive", "--size", "1M", "--runs", "1", "--only", "depth:depth=4", "-o", "results.json"],
    );
    assert.equal(measured.child.exitCode, 0, measured.errors);
    const { child, errors } = await run("bench", "report", "results.json");
    assert.deepEqual(
      [child.exitCode, errors],
      [
        1,
        "scatterwire: the report draws with @observablehq/plot and @xmldom/xmldom, which are not installed: npm install @observablehq/plot @xmldom/xmldom\n",
      ],
    );
  });

  it("has the sources that its maps name, and what the README links to", () => {
    const maps = readdirSync(join(home, "dist"), { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".map"),
    );
    assert.ok(maps.length > 50);
    for (const name of maps) {
      const path = join(home, "dist", name);
      const map = JSON.parse(readFileSync(path, "utf8")) as { sources: string[]; sourcesContent?: unknown[] };
      if (map.sourcesContent !== undefined) continue;
      for (const source of map.sources) {
        // What was compiled once and has no source any more is not ours to check: `npm run prepare` begins with an empty dist.
        if (!existsSync(join(dirname(join(ROOT, "dist", name)), source))) continue;
        assert.ok(existsSync(join(dirname(path), source)), `${name} names ${source}`);
      }
    }
    const readme = readFileSync(join(home, "README.md"), "utf8");
    const named = [...readme.matchAll(/\]\(([\w./-]+\.md)\)|`((?:src|bench)\/[\w./-]+\.\w+)`/g)];
    assert.ok(named.length > 0);
    for (const [, link, source] of named)
      assert.ok(existsSync(join(home, (link ?? source)!)), `the README names ${link ?? source}`);
  });
});
