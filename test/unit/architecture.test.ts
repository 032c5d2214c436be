// Who may import whom (ARCHITECTURE.md). The table below is the rule; the test reads every import of src/ and bench/.
//
// It is long because there are many rooms, and each has its line in the table.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { complaint, headersIn, LINES_MAX, readHeader } from "../support/headers.js";
import { required } from "../support/required.js";

/** Imported by anyone; import only each other. */
const LEAVES = ["base"];

/** What a session is made of. */
const CLIENT = [
  "client/options",
  "client/recording",
  "client/statistics",
  "client/option-table",
  "client/check-options",
  "client/session",
  "client/torrent",
  "client/peer",
  "client/extensions",
  "client/stream",
  "client/metainfo",
  "native",
  "codec",
  "client/receive",
  "client/send",
  "client/memory",
  "client/wire",
  "client/storage",
  "client/storage/layout",
  "client/stream/byte-stream",
  "client/sources",
  "client/web-seed",
  "client/over-stream",
];

const ABOVE_TORRENTS: ReadonlySet<string> = new Set([
  "client/session",
  "client/stream",
  "client/sources",
  "client/web-seed",
  "client/over-stream",
]);

/** What measurements are made with, and said of. */
const LAB = ["bench/report", "bench/measuring", "bench/measuring/ends", "bench/load", "bench/processes"];

/**
 * A room is a folder of src/, or a file that stands for itself because others may reach it where they may not reach its
 * folder. Left the room, right what it may import besides leaves and itself; `files` of a folder are meant by its name.
 */
const RULES: Readonly<Record<string, readonly string[]>> = {
  // Pure: bytes and arithmetic. No socket, timer or file (see QUIET).
  codec: [],
  "client/wire": ["codec"],
  "client/metainfo": ["codec"],
  "client/storage/layout": [],
  "client/receive/expected-blocks": [],

  // Do not know the addon: a test gives them ordinary memory.
  "client/memory": [],
  "client/receive": ["client/receive/expected-blocks", "client/wire", "client/memory"],

  // Sockets that speak addresses in bytes.
  native: ["codec"],
  "client/storage": ["client/storage/layout", "client/memory", "native"],
  // The sender keeps its queue of requests as the receiver does: in a ring of expected blocks.
  "client/send": [
    "client/wire",
    "client/memory",
    "client/storage",
    "native",
    "client/receive/expected-blocks",
  ],

  // Bytes of messages and who they are for: a connection and a torrent are handed in.
  "client/extensions": ["codec", "client/wire"],

  // Knows no socket and no file: a transport and a swarm are handed in.
  "client/peer": [
    "client/wire",
    "client/extensions",
    "client/receive",
    "client/receive/expected-blocks",
    "client/send",
    "client/memory",
    "client/storage/layout",
  ],
  // Policy over a byte stream, and TCP as one; it serves a peer connection.
  "client/stream/byte-stream": [],
  "client/stream/byte-queue": ["client/memory"],
  "client/stream": [
    "client/stream/byte-stream",
    "client/stream/byte-queue",
    "client/peer",
    "client/memory",
    "native",
  ],
  // The tracker: what it says, what it keeps, and what serves it.
  "tracker/protocol": [],
  "tracker/peer-store": [],
  "tracker/server": ["tracker/protocol", "tracker/peer-store", "native", "codec"],
  // The other side: what asks trackers.
  "tracker/client": ["tracker/protocol", "native", "codec"],
  "tracker/index": ["native", "tracker/protocol", "tracker/peer-store", "tracker/server", "tracker/client"],

  // The DHT: what it is told by others it keeps as the tracker keeps its swarms.
  dht: ["native", "codec", "tracker/peer-store"],

  // Pure parts of the indexer: arithmetic over hashes.
  "indexer/filter": [],
  "indexer/cursors": [],
  // The indexer stands above the DHT and the wire between peers; its store knows neither.
  "indexer/store": [],
  indexer: ["indexer/store", "indexer/filter", "indexer/cursors", "dht", ...CLIENT],

  // Names of the public API, and the types that it shares with the inside.
  "client/statistics": [],
  // Real connections over streams of its own.
  "client/recording": [
    "client/options",
    "client/check-options",
    "client/extensions",
    "client/memory",
    "client/peer",
    "client/receive",
    "client/send",
    "client/storage",
    "client/storage/layout",
    "client/stream",
    "client/stream/byte-stream",
    "client/wire",
    "native",
  ],
  "client/options": [
    "client/statistics",
    "client/extensions",
    "client/metainfo",
    "client/option-table",
    "client/receive",
    "client/send",
    "client/storage",
    "client/stream",
  ],
  "client/option-table": ["client/stream", "client/receive", "client/send", "client/storage"],
  "client/check-options": ["client/option-table"],
  "client/torrent": CLIENT.filter((room) => !ABOVE_TORRENTS.has(room)),
  // The one room of the client that knows of trackers.
  "client/sources": [
    "client/options",
    "client/metainfo",
    "client/storage",
    "client/torrent",
    "client/web-seed",
    "native",
    "tracker/client",
  ],
  // A peer that is a web server: a byte stream that speaks the wire's protocol.
  "client/web-seed": [
    "client/options",
    "client/memory",
    "client/wire",
    "client/storage/layout",
    "client/stream/byte-stream",
    "client/stream/byte-queue",
    "client/torrent",
    "native",
  ],
  // A connection without a session, over a stream of the program's own: nothing of it may load the addon.
  "client/over-stream": [
    "client/options",
    "client/option-table",
    "client/check-options",
    "client/extensions",
    "client/memory",
    "client/metainfo",
    "client/peer",
    "client/receive",
    "client/send",
    "client/storage",
    "client/storage/layout",
    "client/stream",
    "client/torrent",
    "client/wire",
  ],
  "client/session": CLIENT.filter((room) => room !== "client/over-stream"),

  // What programs run against what they bring.
  testing: ["client/storage"],

  index: CLIENT.filter((room) => room !== "native"),
  cli: [
    "index",
    "tracker/index",
    "dht",
    "indexer",
    "bench/suites",
    "bench/measuring",
    "bench/rivals",
    "bench/report",
    "bench/processes",
  ],

  // The lab. The limit that modes are measured against is the addon alone, and so are load generators.
  "bench/processes": [],
  // What is said of lists, by anybody.
  "bench/measuring/ends": [],
  "bench/load": [
    "bench/processes",
    "bench/measuring/ends",
    "index",
    "native",
    "native/binding",
    "client/wire",
    "tracker/protocol",
    "dht",
  ],
  "bench/measuring": [
    "bench/measuring/ends",
    "bench/load",
    "bench/processes",
    "index",
    "native/binding",
    "client/wire",
  ],
  "bench/report": ["bench/measuring", "bench/measuring/ends", "index"],
  "bench/suites": [...LAB, "index", "tracker/index", "native/binding", "dht", "indexer/filter", "indexer"],
  "bench/rivals": [...LAB, "index"],
};

/** Rooms and files that do nothing but compute: these modules of Node.js they may not even name. */
const QUIET = [
  "codec",
  "tracker/protocol",
  "tracker/peer-store",
  "indexer/filter",
  "indexer/cursors",
  "tracker/client/http-announce",
  "client/wire",
  "client/receive",
  "client/memory",
  "client/peer",
  "client/storage/layout",
  "client/torrent/picker",
  "client/torrent/availability",
  "client/torrent/choker",
  "client/torrent/attribution",
];
const LOUD_MODULES = /^node:(fs|net|http|https|dgram|timers|child_process|worker_threads|cluster|tls)(\/|$)/;
const LOUD_CALLS = /\b(setTimeout|setInterval|setImmediate)\s*\(/;

/** The only files that load native code: of the addon, one names the file and the other loads it. */
const LOADERS = ["native/addon-file", "native/binding"];
const LOADS_NATIVE_CODE = /createRequire|process\.dlopen|\.node["'`]|node-gyp-build|require\(["']bindings/;

/** Time, timers and chance come from base/ground. Who else may ask the system, and why; ground.ts says more. */
const ASKS_THE_SYSTEM =
  /performance\.now|Date\.now|new Date\(\)|hrtime|\bset(?:Timeout|Interval|Immediate)\b|Math\.random|\brandom(?:Bytes|Int|UUID|Fill|FillSync)\b/;
const MAY_ASK_THE_SYSTEM: Readonly<Record<string, string>> = {
  "base/ground": "it is the system's ground",
  "base/request-turns": "a round of the loop, for servers of Node's, which virtual time has none of",
  "base/user-calls": "a round of the loop, which no virtual time has",
  "client/stream/rounds": "a round of the loop, for streams of Node's, which virtual time has none of",
  "client/metainfo/create": "the date that is written into a torrent file",
  "client/metainfo/shared-files": "a round of the loop, while folders are gone through",
  "client/storage/open": "the name of a trial file",
  "native/http-server": "node:http keeps its time limits by the system, and one more ends a close",
};

interface Import {
  /** Without extension, relative to src/ (or "bench/…"). */
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

interface Source {
  readonly name: string;
  readonly text: string;
  readonly imports: readonly Import[];
  /** Modules that are not files of ours. */
  readonly packages: readonly string[];
}

const root = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(from: string): string {
  return readdirSync(from).includes("package.json") ? from : findRoot(dirname(from));
}

/** The text without comments; strings are left as they are. */
function withoutComments(text: string): string {
  return text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    "$1",
  );
}

const STATEMENT =
  /^\s*(?:import|export)\s+(type\s)?\s*((?:[\w$*]+|\{[^}]*\})(?:\s*,\s*(?:\{[^}]*\}|\*\s+as\s+\w+))?(?:\s+as\s+\w+)?)\s+from\s+["']([^"']+)["']/gm;
const BARE_OR_DYNAMIC = /(?:^\s*import\s+|\bimport\s*\(\s*)["']([^"']+)["']/gm;

function scan(name: string, text: string): Source {
  const code = withoutComments(text);
  const imports: Import[] = [];
  const packages: string[] = [];
  const note = (specifier: string, typeOnly: boolean): void => {
    if (!specifier.startsWith(".")) {
      packages.push(specifier);
      return;
    }
    const path = posix.join(name.startsWith("bench/") ? "" : "src", posix.dirname(name), specifier);
    const to = path.replace(/\.js$/, "").replace(/^src\//, "");
    imports.push({ from: name, to, typeOnly });
  };
  for (const [, type, names, specifier] of code.matchAll(STATEMENT)) {
    const each = /^\{([^}]*)\}$/
      .exec(required(names, "names"))?.[1]
      ?.split(",")
      .filter((part) => part.trim() !== "");
    note(
      required(specifier, "specifier"),
      type !== undefined || (each?.every((part) => /^\s*type\s/.test(part)) ?? false),
    );
  }
  for (const [, specifier] of code.matchAll(BARE_OR_DYNAMIC)) note(required(specifier, "specifier"), false);
  return { name, text: code, imports, packages };
}

function readSources(folder: "src" | "bench"): Source[] {
  const at = join(root, folder);
  return readdirSync(at, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
    .map((file) => file.replaceAll("\\", "/"))
    .map((file) =>
      scan(`${folder === "bench" ? "bench/" : ""}${file.slice(0, -3)}`, readFileSync(join(at, file), "utf8")),
    );
}

const sources = [...readSources("src"), ...readSources("bench")];

/** The room that a file belongs to: the longest name in `rooms` that it has, or begins with. */
function roomOf(file: string, rooms: readonly string[]): string | undefined {
  const fitting = rooms.filter((room) => file === room || file.startsWith(`${room}/`));
  return fitting.sort((a, b) => b.length - a.length)[0];
}

function mayImport(from: string, to: string): boolean {
  if (roomOf(to, LEAVES) !== undefined) return true;
  if (roomOf(from, LEAVES) !== undefined) return false;
  const room = roomOf(from, Object.keys(RULES));
  if (room === undefined) return false;
  const allowed = [room, ...required(RULES[room], `the rule of ${room}`)];
  const target = roomOf(to, [...Object.keys(RULES), ...allowed]);
  return target !== undefined && allowed.includes(target);
}

describe("architecture", () => {
  it("reads imports of every kind", () => {
    const text = `
      import a, { b } from "./a.js"; // import x from "./not-this.js";
      import type { C } from "../c/c.js";
      import { type D, type E } from "./d.js";
      import { type F, g } from "./f.js";
      import * as h from "node:fs";
      export * from "./i.js";
      export type { J } from "./j.js";
      export { k } from "./k.js";
      import "./l.js";
      const m = await import("./m.js");
      const text = "// import n from './n.js'";
    `;
    const { imports, packages } = scan("room/file", text);
    const found = imports.map(({ to, typeOnly }) => `${to}${typeOnly ? " (types)" : ""}`);
    assert.deepEqual(found, [
      "room/a",
      "c/c (types)",
      "room/d (types)",
      "room/f",
      "room/i",
      "room/j (types)",
      "room/k",
      "room/l",
      "room/m",
    ]);
    assert.deepEqual(packages, ["node:fs"]);
    assert.deepEqual(
      scan("bench/a", 'import "../src/index.js";\nimport "./b.js";').imports.map(({ to }) => to),
      ["index", "bench/b"],
    );
    assert.deepEqual(
      scan("cli/a", 'import "../../bench/b.js";').imports.map(({ to }) => to),
      ["bench/b"],
    );
  });

  it("knows its own rules", () => {
    assert.equal(mayImport("client/peer/peer-connection", "client/storage/layout"), true);
    assert.equal(mayImport("client/peer/peer-connection", "client/storage/storage"), false);
    assert.equal(mayImport("client/receive/receiver", "native/binding"), false);
    assert.equal(mayImport("base/errors", "client/wire/decode"), false);
    assert.equal(mayImport("client/wire/encode", "codec/bencode-spans"), true);
    assert.equal(mayImport("codec/bencode-spans", "client/wire/encode"), false);
    assert.equal(mayImport("cli/main", "client/session/session"), false);
    assert.equal(mayImport("bench/measuring/limit", "native/binding"), true);
    assert.equal(mayImport("bench/measuring/limit", "native/jobs"), false);
    assert.equal(mayImport("bench/report/words", "bench/suites/receive"), false);
    assert.equal(mayImport("client/torrent/torrent", "client/session/session"), false);
  });

  it("has every file in a room", () => {
    assert.ok(sources.length > 30, "the sources are found");
    const rooms = [...LEAVES, ...Object.keys(RULES)];
    assert.deepEqual(
      sources.map(({ name }) => name).filter((name) => roomOf(name, rooms) === undefined),
      [],
    );
  });

  it("imports downwards only, as the table says", () => {
    const wrong = sources.flatMap(({ imports }) => imports).filter(({ from, to }) => !mayImport(from, to));
    assert.deepEqual(
      wrong.map(({ from, to }) => `${from} imports ${to}`),
      [],
    );
  });

  it("has no cycle of files", () => {
    const targets = new Map(
      sources.map(({ name, imports }) => [
        name,
        imports.filter(({ typeOnly }) => !typeOnly).map(({ to }) => to),
      ]),
    );
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
      if (done.has(file) || path.includes(file)) return;
      for (const to of targets.get(file) ?? []) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of targets.keys()) visit(file, []);
    assert.deepEqual(cycles, []);
  });

  it("imports only files that exist", () => {
    const names = new Set(sources.map(({ name }) => name));
    const lost = sources.flatMap(({ imports }) => imports).filter(({ to }) => !names.has(to));
    assert.deepEqual(
      lost.map(({ from, to }) => `${from} imports ${to}`),
      [],
    );
  });

  it("loads native code where it should only", () => {
    const loaders = sources.filter(({ text }) => LOADS_NATIVE_CODE.test(text)).map(({ name }) => name);
    assert.deepEqual(loaders.sort(), LOADERS);
  });

  it("takes time, timers and chance from the ground above sockets", () => {
    const asking = sources
      .filter(({ name }) => /^(base|codec|native|client|tracker\/client)\//.test(name))
      .filter(({ text }) => ASKS_THE_SYSTEM.test(text))
      .map(({ name }) => name);
    assert.deepEqual(asking.sort(), Object.keys(MAY_ASK_THE_SYSTEM).sort());
  });

  it("keeps rooms that only compute away from sockets, timers and files", () => {
    const loud: string[] = [];
    for (const { name, packages, text } of sources) {
      if (roomOf(name, QUIET) === undefined) continue;
      for (const each of packages) if (LOUD_MODULES.test(each)) loud.push(`${name} imports ${each}`);
      if (LOUD_CALLS.test(text)) loud.push(`${name} sets a timer`);
    }
    assert.deepEqual(loud, []);
  });

  it("wants a header of each file, and a reason of each long one", () => {
    const long = "const a = 1;\n".repeat(LINES_MAX);
    const of = (text: string): string | undefined => complaint(readHeader("a.ts", text));
    assert.equal(of("const a = 1;\n"), "a.ts does not say what it is for");
    assert.equal(of("// Sums.\nconst a = 1;\n"), undefined);
    assert.equal(of(`// Sums.\n${long}`), "a.ts has 401 lines and does not say why");
    assert.equal(of(`// Sums.\n//\n// One file,\n// because it is one sum.\n${long}`), undefined);
    assert.equal(
      of(`// Sums.\n${long}// It is long because nobody looked.\n`),
      "a.ts has 402 lines and does not say why",
    );
  });

  it("has such headers", () => {
    const all = ["src", "bench", "test"].flatMap(headersIn);
    assert.ok(all.length > 500, "the files are found");
    assert.deepEqual(
      all.map(complaint).filter((each) => each !== undefined),
      [],
    );
  });
});
