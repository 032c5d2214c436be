// What the README and the other pages show is what there is: every command in a block of shell is one that the command line knows, with
// its options, and the first program runs as it stands, with a magnet link of this machine in place of the one that is left open.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { createTorrent, Session } from "../../src/index.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { CLI, Program } from "../support/program.js";
import { required } from "../support/required.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "ARCHITECTURE.md",
  "SECURITY.md",
  "examples/README.md",
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

interface Shown {
  readonly page: string;
  readonly command: string;
}

/** Commands of ours, in blocks and between backticks, without what is piped into or out of them. */
function shownCommands(): Shown[] {
  const found: Shown[] = [];
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, page), "utf8");
    const fenced = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)];
    const blocks = fenced
      .filter(([, kind]) => kind === "" || kind === "sh")
      .map(([, , block]) => required(block, "block"));
    const inline = [...text.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`]*)`/g)].map(([, code]) =>
      required(code, "code"),
    );
    const lines = [
      ...blocks.flatMap((block) => block.split("\n")),
      ...inline.map((code) => code.replaceAll("\n", " ")),
    ];
    for (const line of lines)
      for (const [, command] of line.matchAll(/(?:^|[|&] )(?:npx )?scatterwire ([a-z][^|#>]*)/g))
        found.push({ page, command: required(command, "command").trim() });
  }
  return found;
}

/** `--help` of a verb, and of a suite or a subcommand where it has some. */
const helps = new Map<string, string>();
function helpOf(words: readonly string[]): string {
  const key = words.join(" ");
  let help = helps.get(key);
  if (help === undefined) {
    const { stdout, stderr, status } = spawnSync(process.execPath, [CLI, ...words, "--help"], {
      encoding: "utf8",
    });
    assert.equal(status, 0, `scatterwire ${key} --help: ${stderr}`);
    help = stdout;
    assert.doesNotMatch(
      help,
      /^ +--[\w-]+(?: <[^>]*>)?\s+\(default/m,
      `${key}: an option has no explanation`,
    );
    assert.doesNotMatch(help, /default:\s+[[{]/, `${key}: a default is told as it would be typed`);
    helps.set(key, help);
  }
  return help;
}

describe("The pages of this project", { timeout: 300_000 }, () => {
  it("show commands that there are, with options that there are", () => {
    const shown = shownCommands();
    assert.ok(shown.length > 40, `${shown.length} commands`);
    for (const { page, command } of shown) {
      const [verb, ...rest] = command.split(/\s+/) as [string, ...string[]];
      const parts = /^(?:bench|dht)$/.test(verb) ? (rest[0]?.split("|") ?? []) : [];
      const paths = parts.filter((part) => /^[a-z]/.test(part)).map((part) => [verb, part]);
      for (const words of paths.length === 0 ? [[verb]] : paths) {
        const help = helpOf(words);
        assert.match(help, new RegExp(`^Usage: scatterwire ${words.join(" ")}\\b`), `${page}: ${command}`);
        for (const [option] of command.matchAll(/(?<=\s)--?[a-z][\w-]*/g))
          assert.match(
            help,
            new RegExp(`(?:^|[\\s,])${option}(?![\\w-])`, "m"),
            `${page} shows ${option} in: scatterwire ${command}`,
          );
      }
    }
  });

  it("begin with a program that downloads a magnet link", async () => {
    const folder = temporaryFolder(after);
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const program = /```js\n([\s\S]*?)```/.exec(readme)?.[1];
    assert.ok(program !== undefined, "the README has a block of js");

    writeFileSync(join(folder, "data.bin"), bytesOf(12, 1_000_000));
    const { bytes } = await createTorrent(join(folder, "data.bin"));
    await using seeder = new Session({ listen: { host: "127.0.0.1", port: 0 }, trackers: false });
    const seed = await seeder.add(bytes, { directory: folder, readOnly: true });
    const { port } = await seeder.listen();
    const infoHash = Buffer.from(seed.infoHash).toString("hex");
    const output = join(folder, "downloads");
    let here = program;
    for (const [from, to] of [
      ["magnet:?xt=urn:btih:…", `magnet:?xt=urn:btih:${infoHash}&x.pe=127.0.0.1:${port}`],
      ["new Dht()", 'new Dht({ listen: [{ host: "127.0.0.1", port: 0 }], bootstrap: [] })'],
      ["./downloads", output],
    ] as const) {
      assert.ok(here.includes(from), `the program has ${from}`);
      here = here.replace(from, to);
    }

    // Inside the package, so that its own name resolves.
    const place = mkdtempSync(join(ROOT, "dist", "readme-"));
    after(() => rmSync(place, { recursive: true, force: true }));
    writeFileSync(join(place, "program.mjs"), here);
    const { status, errors } = await new Program(process.execPath, [join(place, "program.mjs")]).result();
    assert.equal(status, 0, errors);
    assert.equal(difference(join(folder, "data.bin"), join(output, "data.bin")), undefined);
  });
});
