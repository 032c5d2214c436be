// The package as somebody installs it: `npm pack`, `npm install` in an empty folder with scripts off, without optional packages and
// with no compiler anywhere, and then what the README shows. The addon is the prebuilt one that came in the package.

import assert from "node:assert/strict";
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { transformSync } from "esbuild";
import { createTorrent } from "../../src/client/session/torrent-files.js";
import { Session } from "../../src/index.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { type InstalledPackage, installPackage, manifestOf, ROOT } from "../support/installed-package.js";
import type { Program } from "../support/program.js";
import { required } from "../support/required.js";

describe("the package, installed", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const manifest = manifestOf(ROOT);
  let installed: InstalledPackage;

  before(async () => {
    installed = await installPackage(folder);
    writeFileSync(join(folder, "data.bin"), bytesOf(5, 3_000_000));
  });

  const node = (...args: string[]): Promise<Program> => installed.run(process.execPath, ...args);
  const command = (...args: string[]): Promise<Program> =>
    installed.run(join(folder, "node_modules/.bin/scatterwire"), ...args);
  /** Runs a script in the folder and tells what it printed. */
  const said = async (name: string, code: string): Promise<string> => {
    writeFileSync(join(folder, name), code);
    const { child, output, errors } = await node(name);
    assert.deepEqual([child.exitCode, errors], [0, ""]);
    return output;
  };

  it("brings what it names and nothing else, and nothing was compiled", () => {
    const there = readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith("."));
    assert.deepEqual(there.sort(), [
      ...["bencode", "bitfield", "commander", "node-addon-api", "piece-length", "scatterwire", "uint8-util"],
    ]);
    assert.ok(!existsSync(join(installed.home, "build")));
  });

  it("runs the README's example", async () => {
    const readme = readFileSync(join(installed.home, "README.md"), "utf8");
    const example = /## Embedding\n[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)?.[1];
    assert.ok(example !== undefined, "the README has a ts block under Embedding");
    const { code } = transformSync(example, { loader: "ts", format: "esm", target: "node20.19" });
    writeFileSync(join(folder, "example.mjs"), code);
    const made = await createTorrent(join(folder, "data.bin"));
    writeFileSync(join(folder, "data.torrent"), made.bytes);
    await using seeder = new Session({ listen: { host: "127.0.0.1", port: 0 }, trackers: false });
    await seeder.add(made.bytes, { directory: folder, readOnly: true });
    const { port } = await seeder.listen();
    const { child, errors, output } = await node(
      ...["example.mjs", "data.torrent", "copy", `127.0.0.1:${port}`],
    );
    assert.equal(child.exitCode, 0, errors);
    assert.match(output, /done: 184 blocks in \d+ receives/);
    assert.equal(difference(join(folder, "data.bin"), join(folder, "copy/data.bin")), undefined);
  });

  it("is imported, and required, by each of its names", async () => {
    const names = Object.keys(manifest.exports)
      .filter((name) => name !== "./package.json")
      .map((name) => name.replace(/^\.\/?/, ""));
    for (const name of ["", "tracker", "dht"]) assert.ok(names.includes(name), name);
    const uses = `
      const udp = new tracker.Tracker({ udp: [{ host: "127.0.0.1", port: 0 }] });
      const node = new dht.Dht({ listen: [{ host: "127.0.0.1", port: 0 }], bootstrap: [] });
      const session = new main.Session({ dht: node });
      Promise.all([session.close(), node.close(), udp.close()]).then(() => console.log("all of it"));`;
    const load = (how: (name: string) => string): string =>
      names
        .map((name) => how(`scatterwire${name === "" ? "" : "/"}${name}`).replace("AS", name || "main"))
        .join("\n");
    assert.equal(
      await said("imports.mjs", load((name) => `import * as AS from "${name}";`) + uses),
      "all of it\n",
    );
    assert.equal(
      await said("requires.cjs", load((name) => `const AS = require("${name}");`) + uses),
      "all of it\n",
    );
  });

  it("has entries and types that publint and attw accept", async () => {
    const { tarball } = installed;
    const tool = (name: string, ...args: string[]): Promise<Program> =>
      node(join(ROOT, "node_modules/.bin", name), ...args);
    const publint = await tool("publint", tarball, "--strict");
    assert.equal(publint.child.exitCode, 0, publint.output);
    // It is one module for all: CommonJS requires the same file, which Node.js can, though not each compiler knows.
    const { child, output } = await tool("attw", tarball, "--profile", "esm-only");
    assert.equal(child.exitCode, 0, output);
  });

  it("has types that compile by themselves, however modules are found", async () => {
    const entries = Object.keys(manifest.exports)
      .filter((name) => name !== "./package.json")
      .map((name) => name.replace(/^\./, "scatterwire"));
    writeFileSync(
      join(folder, "types.mts"),
      `import { type Metainfo, parseMetainfo, Session, type Torrent } from "scatterwire";
       import { Dht } from "scatterwire/dht";
       import { Tracker } from "scatterwire/tracker";
       ${entries.map((name, at) => `export * as entry${at} from "${name}";`).join("\n")}
       export const metainfo: Metainfo = parseMetainfo(new Uint8Array());
       export const torrent: Promise<Torrent> = new Session({ dht: new Dht() }).add(metainfo);
       export const close: void = new Tracker({ udp: [] }).close();
       // @ts-expect-error: there is no such option
       new Session({ recieveMode: "scatter" });`,
    );
    for (const found of ["nodenext", "bundler"]) {
      const { child, output } = await node(
        join(ROOT, "node_modules/typescript/bin/tsc"),
        ...[
          "--ignoreConfig",
          "--noEmit",
          "--strict",
          "--target",
          "es2022",
          "--lib",
          "es2023,esnext.disposable",
        ],
        ...["--module", found === "nodenext" ? found : "esnext", "--moduleResolution", found],
        ...["--typeRoots", join(ROOT, "node_modules/@types"), "--types", "node", "types.mts"],
      );
      assert.equal(child.exitCode, 0, `${found}: ${output}`);
    }
  });

  it("has a command line that makes, tells and checks", async () => {
    const created = await command("create", "data.bin", "--force");
    assert.match(created.output, /^data\.bin\.torrent: 1 file, 3\.00 MB/, created.errors);
    assert.match((await command("info", "data.bin.torrent")).output, /^name +data\.bin$/m);
    assert.match((await command("check", "data.bin.torrent", ".")).output, /^(\d+) of \1 pieces are good$/m);
    assert.equal((await command("--version")).output, `${manifest.version}\n`);
  });

  it("measures without the packages that only draw, and says which the report needs", async () => {
    const loopback = await command("bench", "loopback", "--size", "2M", "--runs", "1", "--modes", "adaptive");
    assert.match(loopback.output, /CPU s\/GB/, loopback.errors);
    const measured = await command(
      ...["bench", "receive", "--size", "1M", "--runs", "1", "--only", "depth:depth=4", "-o", "results.json"],
    );
    assert.equal(measured.child.exitCode, 0, measured.errors);
    const { child, errors } = await command("bench", "report", "results.json");
    assert.deepEqual(
      [child.exitCode, errors],
      [
        1,
        "scatterwire: the report draws with @observablehq/plot and @xmldom/xmldom, which are not installed: npm install @observablehq/plot @xmldom/xmldom\n",
      ],
    );
  });

  it("has the sources that its maps name, and what the README links to", () => {
    const { home } = installed;
    const maps = readdirSync(join(home, "dist"), { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".map"),
    );
    assert.ok(maps.length > 50);
    for (const name of maps) {
      const path = join(home, "dist", name);
      const map = JSON.parse(readFileSync(path, "utf8")) as {
        sources: string[];
        sourcesContent?: (string | null)[];
      };
      for (const [index, source] of map.sources.entries()) {
        if (map.sourcesContent?.[index]) continue;
        // What was compiled once and has no source any more is not ours to check: `npm run prepare` begins with an empty dist.
        if (!existsSync(join(dirname(join(ROOT, "dist", name)), source))) continue;
        assert.ok(existsSync(join(dirname(path), source)), `${name} names ${source}`);
      }
    }
    const readme = readFileSync(join(home, "README.md"), "utf8");
    const named = [...readme.matchAll(/\]\(([\w./-]+\.md)\)|`((?:src|bench)\/[\w./-]+\.\w+)`/g)];
    assert.ok(named.length > 0);
    for (const [, link, source] of named)
      assert.ok(
        existsSync(join(home, required(link ?? source, "the file of a link"))),
        `the README names ${link ?? source}`,
      );
  });

  it("is as large as the README says, and needs the packages that it gives reasons for", () => {
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const told = 1e6 * Number(/takes about (\d+) MB/.exec(readme)?.[1]);
    const modules = join(folder, "node_modules");
    const bytes = readdirSync(modules, { recursive: true, encoding: "utf8" })
      .map((name) => lstatSync(join(modules, name)))
      .reduce((sum, status) => sum + (status.isFile() ? status.size : 0), 0);
    assert.ok(Math.abs(bytes - told) < 0.05 * told, `${bytes} bytes are there, the README says ${told}`);

    const rows = readme.matchAll(/^\| `([\w@/-]+)` \| (always|optional|if you install it) \| ([^|]+) \|$/gm);
    const reasons = [...rows].map(([, name, kind]) => `${name} ${kind}`);
    const named = (of: object | undefined, kind: string): string[] =>
      Object.keys(of ?? {}).map((name) => `${name} ${kind}`);
    assert.deepEqual(
      reasons.sort(),
      [
        ...named(manifest.dependencies, "always"),
        ...named(manifest.optionalDependencies, "optional"),
        ...named(manifest.peerDependencies, "if you install it"),
      ].sort(),
    );
  });

  it("compiles only where no prebuilt addon fits, and says what is missing where it cannot", async () => {
    const fits = await installed.npm("rebuild", "scatterwire", "--foreground-scripts");
    assert.equal(fits.child.exitCode, 0, fits.errors);
    assert.ok(!existsSync(join(installed.home, "build")), "nothing was compiled");

    const prebuilds = join(installed.home, "prebuilds");
    const [prebuilt] = readdirSync(prebuilds);
    renameSync(prebuilds, join(folder, "prebuilds"));
    const compiles = await installed.npm("rebuild", "scatterwire", "--foreground-scripts");
    assert.notEqual(compiles.child.exitCode, 0);
    assert.match(compiles.errors, /scatterwire: no C\+\+ compiler found: install one that knows C\+\+20/);
    const used = await said(
      "without.mjs",
      `import { readFile } from "node:fs/promises";
       import { connect, createServer } from "node:net";
       import { parseMagnet, PeerConnection, readMetainfo, Session } from "scatterwire";
       console.log(parseMagnet("magnet:?xt=urn:btih:${"ab".repeat(20)}").trackers.length);
       try { new Session(); } catch (error) { console.log(error.code + ": " + error.message); }
       const metainfo = await readMetainfo("data.torrent");
       const data = await readFile("data.bin");
       const server = createServer((socket) => {
         const read = (piece, begin, length) => data.subarray(piece * metainfo.pieceLength + begin).subarray(0, length);
         PeerConnection.overStream(socket, { metainfo, incoming: true, haveAll: true, read });
         server.close();
       });
       server.listen(0, "127.0.0.1", async () => {
         const leech = PeerConnection.overStream(connect(server.address()), { metainfo });
         console.log((await leech.readPiece(1)).length === metainfo.pieceLength);
         leech.close();
       });`,
    );
    assert.equal(
      used,
      `0\nADDON_MISSING: the native addon is not built, and the package brings none that fits (${prebuilt}): run \`npm rebuild scatterwire\` (needs a C++20 compiler, make and python3)\ntrue\n`,
    );
  });
});
