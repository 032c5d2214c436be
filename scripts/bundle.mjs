// Bundles what tsc compiled into dist/bundle: the package's entry (index.js), the command line (main.js) and the scripts of the
// threads of tracker (worker-thread.js) and index (sqlite-worker.js). Loading some seventy files one by one costs more than reading what
// is in them: this is what a light start is made of (ARCHITECTURE.md has the figures).
//
// The package is apart: index.js names what is public, and library-….js has all that importing it loads, in one file. What a session needs at
// times only (trackers, web seeds, routers) is in parts of their own. The command line and the threads share chunks, with each verb in one of its own.
//
// The verbs that use the library are in one file of CommonJS, with a library of their own: of that V8's compiled code is kept between
// starts, for those that move bytes (src/cli/code-cache.ts). It is named by a digest of what is in it, by which what was kept of another one is
// told apart.
//
// The lab is not bundled. Its programs start each other by their places in dist/bench, and `bench` loads them, and the plain
// modules of dist/src beneath them, when it is called. Licences of packages that went into the bundle are written beside it.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const from = join(root, "dist/src");
const to = join(root, "dist/bundle");

/** Threads find their scripts beside whatever starts them. */
const WORKERS = ["tracker/server/worker-thread.js", "indexer/store/sqlite-worker.js"];

/** The verb `bench` stays where it is: seen from any chunk, which all lie in one folder. */
/** @type {import("esbuild").Plugin} */
const labStaysOutside = {
  name: "lab-stays-outside",
  setup(build) {
    build.onResolve({ filter: /^\.\/bench\.js$/ }, () => ({ path: "../src/cli/bench.js", external: true }));
  },
};

/**
 * Functions and classes that we have of modules of Node.js which take up to two milliseconds each to be loaded, with the streams that some of
 * them bring: at the first call, and not when the package is imported or a verb starts. None of the classes is extended.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
const LOADED_WHEN_CALLED = {
  child_process: ["spawn"],
  crypto: [
    "createHash",
    "createDiffieHellman",
    "randomBytes",
    "randomFillSync",
    "randomUUID",
    "timingSafeEqual",
  ],
  dgram: ["createSocket"],
  "dns/promises": ["lookup", "Resolver"],
  http: ["Agent", "createServer", "request"],
  https: ["Agent", "request"],
  module: ["createRequire"],
  net: ["BlockList", "isIP"],
  stream: ["Readable"],
  "stream/promises": ["pipeline"],
  "timers/promises": ["setImmediate"],
  worker_threads: ["markAsUntransferable", "Worker"],
  zlib: ["crc32", "gunzipSync", "inflateSync"],
};
/**
 * What the others export is taken without importing them: for an import Node.js looks at all that a module has, and `fs` loads its promises and
 * streams then, `util` its parser of arguments.
 */
const NODE_IMPORT = /\bimport\s*\{([^}]*)\}\s*from\s*"(node:[\w/]+)";/g;
/** Characters of a line of the library, about: a place in it is a line and a column that can be looked at. */
const LINE_LIMIT = 120;
/** Verbs that use the library, and those of them of which compiled code is kept. */
const LIBRARY_VERBS = ["check", "create", "download", "info", "replay", "seed"];
const KEPT = ["download", "seed"];
/** Optional packages: they may not be there. */
const EXTERNAL = ["ws", "@redis/client", "pg"];

/** @type {import("esbuild").BuildOptions & { write: false, metafile: true }} */
const COMMON = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20.19",
  external: EXTERNAL,
  write: false,
  metafile: true,
  outdir: to,
  logLevel: "warning",
};

/**
 * Without comments and indentation, for which V8 takes time too: names are as they were, and maps lie beside it.
 * @type {{ format: "esm", minifyWhitespace: true, lineLimit: number, sourcemap: true }}
 */
const READ_FAST = { format: "esm", minifyWhitespace: true, lineLimit: LINE_LIMIT, sourcemap: true };

/** @type {import("esbuild").BuildOptions & { write: false, metafile: true }} */
const MODULES = {
  ...COMMON,
  splitting: true,
  entryNames: "[name]",
  ...READ_FAST,
  // Packages that are no modules of the language ask for what Node.js has by `require`.
  banner: { js: "const require = (name) => process.getBuiltinModule(name);" },
};

/**
 * The verbs that use the library, in one file. Each byte of it is a character, so that it is read as it lies: esbuild writes others as escapes, and
 * leaves them in no more than a licence.
 * @param {typeof import("esbuild").build} build
 */
async function compiledVerbs(build) {
  const { outputFiles } = await build({
    ...COMMON,
    stdin: {
      contents: LIBRARY_VERBS.map((verb) => `export { run as ${verb} } from "./${verb}.js";`).join("\n"),
      resolveDir: join(from, "cli"),
    },
    ...READ_FAST,
    format: "cjs",
    sourcemap: false,
    plugins: [loadedWhenCalled],
    banner: { js: 'const moduleUrl = require("node:url").pathToFileURL(__filename).href;' },
    define: { "import.meta.url": "moduleUrl" },
  });
  const text = outputFiles
    .map((file) => file.text)
    .join("")
    .replace(/[^\0-\x7f]/g, "?");
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  return { name: `verbs-${digest}.cjs`, text };
}

/**
 * In the place of a verb stands who runs it from that file.
 * @param {string} name
 * @returns {import("esbuild").Plugin}
 */
const verbsAreCompiled = (name) => ({
  name: "verbs-are-compiled",
  setup(build) {
    const verbs = new RegExp(`^\\./(${LIBRARY_VERBS.join("|")})\\.js$`);
    build.onResolve({ filter: verbs }, ({ path, importer }) =>
      importer.endsWith("/cli/verbs.js") ? { path, namespace: "compiled" } : undefined,
    );
    build.onLoad({ filter: verbs, namespace: "compiled" }, ({ path }) => ({
      contents: `
        import { fileURLToPath } from "node:url";
        import { codeCacheFolder, runCompiled } from "./code-cache.js";
        export async function run(args) {
          const folder = ${KEPT.includes(basename(path, ".js")) ? "codeCacheFolder()" : "undefined"};
          return runCompiled(fileURLToPath(new URL("./${name}", import.meta.url)), "${basename(path, ".js")}", args, folder);
        }`,
      resolveDir: join(from, "cli"),
    }));
  },
});

/** Packages that take a module of Node.js for what they do at times only. */
const PATIENT_PACKAGES = /\/node_modules\/commander\//;

/**
 * In the place of such a module stands one whose functions load it. Of another function of it the bundle fails: it is not there. What
 * runs on a thread of its own needs its module at once.
 * @type {import("esbuild").Plugin}
 */
const loadedWhenCalled = {
  name: "loaded-when-called",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path, importer }) => {
      const isThread = WORKERS.some((name) => importer.endsWith(name));
      const mayWait = (importer.startsWith(from) && !isThread) || PATIENT_PACKAGES.test(importer);
      const isListed = Object.hasOwn(LOADED_WHEN_CALLED, path.slice("node:".length));
      return mayWait && isListed ? { path, namespace: "when-called" } : undefined;
    });
    build.onLoad({ filter: /^/, namespace: "when-called" }, ({ path }) => ({
      contents: [
        `let loaded; const load = () => loaded ??= process.getBuiltinModule("${path}");`,
        ...(LOADED_WHEN_CALLED[path.slice("node:".length)] ?? []).map(
          (name) =>
            `export function ${name}(...args) { return new.target ? new (load().${name})(...args) : load().${name}(...args); }`,
        ),
      ].join("\n"),
    }));
  },
};

/**
 * The package's entry. esbuild puts whatever two of its parts share into a chunk of its own, which makes a dozen files of what importing the
 * package loads; a file costs as much as 30 KB. So the chunks that are loaded at once are bundled once more, into one, and the parts that are
 * loaded at times find the chunks by their names, which only hand on.
 * @param {typeof import("esbuild").build} build
 */
async function theLibrary(build) {
  const apart = await build({
    ...MODULES,
    entryPoints: [join(from, "index.js")],
    chunkNames: "part-[name]-[hash]",
    minifyWhitespace: true,
    lineLimit: LINE_LIMIT,
    sourcemap: true,
    plugins: [loadedWhenCalled],
  });
  const { outputs, inputs } = apart.metafile;
  const atOnce = loadedAtOnce("index.js", outputs);
  const chunks = [...atOnce.keys()].filter((name) => name !== "index.js");
  const contents = [
    `export { ${atOnce.get("index.js")?.join(", ")} } from "./index.js";`,
    ...chunks.map((name, index) => exportsOf(name, atOnce, (each) => `${each} as ${each}_${index}`)),
  ].join("\n");
  const texts = new Map(apart.outputFiles.map(({ path, text }) => [basename(path), text]));
  const { outputFiles } = await build({
    ...COMMON,
    stdin: { contents, resolveDir: to, sourcefile: "library.js" },
    ...READ_FAST,
    entryNames: "library-[hash]",
    format: "esm",
    minifyWhitespace: true,
    lineLimit: LINE_LIMIT,
    sourcemap: true,
    plugins: [chunksFrom(texts, chunks)],
  });
  const [library] = outputFiles.map(({ path }) => basename(path)).filter((name) => name.endsWith(".js"));
  const handsOn = (/** @type {string} */ name) => {
    const names = atOnce.get(name) ?? [];
    const index = chunks.indexOf(name);
    const list = names.map((each) => (index < 0 ? each : `${each}_${index} as ${each}`)).join(", ");
    return Buffer.from(`export { ${list} } from "./${library}";\n`);
  };
  const files = apart.outputFiles.flatMap(({ path, contents: whole }) => {
    const name = basename(path);
    if (atOnce.has(name)) return [{ path, contents: handsOn(name) }];
    return atOnce.has(name.replace(/\.map$/, "")) ? [] : [{ path, contents: whole }];
  });
  return { files: [...outputFiles, ...files], inputs };
}

/**
 * The files that are loaded with one of them, and what each exports.
 * @param {string} entry
 * @param {import("esbuild").Metafile["outputs"]} outputs
 * @returns {Map<string, string[]>}
 */
function loadedAtOnce(entry, outputs) {
  const byName = new Map(Object.entries(outputs).map(([path, output]) => [basename(path), output]));
  /** @type {Map<string, string[]>} */
  const found = new Map();
  const visit = (/** @type {string} */ name) => {
    const output = byName.get(name);
    if (output === undefined || found.has(name)) return;
    found.set(name, output.exports);
    for (const { path, kind } of output.imports) if (kind === "import-statement") visit(basename(path));
  };
  visit(entry);
  return found;
}

/**
 * @param {string} name
 * @param {ReadonlyMap<string, string[]>} exported
 * @param {(name: string) => string} naming
 */
function exportsOf(name, exported, naming) {
  return `export { ${(exported.get(name) ?? []).map(naming).join(", ")} } from "./${name}";`;
}

/**
 * Bundles these files, which are not written, and leaves what they load at times where it is.
 * @param {ReadonlyMap<string, string>} texts
 * @param {readonly string[]} chunks
 * @returns {import("esbuild").Plugin}
 */
const chunksFrom = (texts, chunks) => ({
  name: "chunks-from",
  setup(build) {
    build.onResolve({ filter: /^\.\// }, ({ path }) => {
      const name = basename(path);
      if (name !== "index.js" && !chunks.includes(name)) return { path, external: true };
      return { path: join(to, name) };
    });
    build.onLoad({ filter: /\.js$/ }, ({ path }) => {
      const text = texts.get(basename(path)) ?? "";
      const map = texts.get(`${basename(path)}.map`) ?? "";
      const inline = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString("base64")}`;
      const contents = text
        .replace(NODE_IMPORT, (_, names, module) => {
          return `const {${names.replace(/ as /g, ": ")}} = process.getBuiltinModule("${module}");`;
        })
        .replace(/\/\/# sourceMappingURL=.*$/m, inline);
      return { contents, resolveDir: to };
    });
  },
});

async function bundle() {
  const { build } = await import("esbuild").catch(() => {
    console.error("scatterwire: esbuild is not installed: run `npm ci`");
    process.exit(1);
  });
  const verbs = await compiledVerbs(build);
  const library = await theLibrary(build);
  const commands = await build({
    ...MODULES,
    entryPoints: ["cli/main.js", ...WORKERS].map((name) => join(from, name)),
    chunkNames: "[name]-[hash]",
    sourcemap: true,
    plugins: [labStaysOutside, verbsAreCompiled(verbs.name), loadedWhenCalled],
  });
  mkdirSync(to, { recursive: true });
  // Chunks first, then who names them, and only then goes what nobody names any more: a program that starts meanwhile finds all.
  const isEntry = (/** @type {string} */ path) =>
    /^(index|main|worker-thread|sqlite-worker)\.js$/.test(basename(path));
  const files = [...library.files, ...commands.outputFiles].sort(
    (a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)),
  );
  writeIfChanged(join(to, verbs.name), Buffer.from(verbs.text));
  for (const { path, contents } of files)
    writeIfChanged(path, path.endsWith(".map") ? withoutOurSources(contents) : contents);
  const licences = join(to, "LICENSES.txt");
  const inputs = { ...library.inputs, ...commands.metafile.inputs };
  writeIfChanged(licences, Buffer.from(licencesOf(inputs)));
  const kept = new Set([...files.map(({ path }) => basename(path)), verbs.name, basename(licences)]);
  for (const name of readdirSync(to)) if (!kept.has(name)) rmSync(join(to, name));
}

/**
 * @param {string} path
 * @param {Uint8Array} contents
 */
function writeIfChanged(path, contents) {
  if (existsSync(path) && readFileSync(path).equals(contents)) return;
  writeFileSync(path, contents, { mode: basename(path) === "main.js" ? 0o755 : 0o644 });
}

/**
 * A source map without the text of what lies beside the bundle in the package. Other packages lie who knows where: theirs stays.
 * @param {Uint8Array} map
 */
function withoutOurSources(map) {
  /** @type {{ sources: string[], sourcesContent: (string | null)[] }} */
  const parsed = JSON.parse(Buffer.from(map).toString());
  const sourcesContent = parsed.sourcesContent.map((text, index) =>
    parsed.sources[index]?.includes("node_modules/") ? text : null,
  );
  return Buffer.from(JSON.stringify({ ...parsed, sourcesContent }));
}

/**
 * The packages whose code is in the bundle, each with its licence as it states it.
 * @param {import("esbuild").Metafile["inputs"]} inputs
 */
function licencesOf(inputs) {
  const names = new Set(
    Object.keys(inputs).flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
  );
  const texts = [...names].sort().map((name) => {
    const folder = join(root, "node_modules", name);
    const { version, license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((each) => /^(licen[cs]e|copying)/i.test(each));
    const who = typeof author === "string" ? author : author?.name;
    const text =
      file === undefined
        ? `${license}${who === undefined ? "" : `, ${who}`}`
        : readFileSync(join(folder, file), "utf8");
    return `${name} ${version}\n\n${text.trim()}\n`;
  });
  return `The files of this folder contain code of these packages.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

await bundle();
