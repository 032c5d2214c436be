// Bundles what tsc compiled into dist/bundle: the package's entry (index.js), the command line (main.js) and the scripts of the
// threads of tracker (worker-thread.js) and index (sqlite-worker.js), which share what they have in common, with each verb in a chunk of its own. Loading some seventy files one by one costs more than reading what
// is in them: this is what a light start is made of (ARCHITECTURE.md has the figures).
//
// The verbs that move bytes are there a second time, in one file of CommonJS: of that V8's compiled code is kept between starts
// (src/cli/code-cache.ts). It is named by a digest of what is in it, by which what was kept of another one is told apart.
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

/** Verbs of which compiled code is kept. */
const COMPILED = ["download", "seed"];
/** Optional packages: they may not be there. */
const EXTERNAL = ["ws", "@redis/client", "pg"];

/** @type {import("esbuild").BuildOptions & { write: false }} */
const COMMON = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20.19",
  external: EXTERNAL,
  write: false,
  logLevel: "warning",
};

/**
 * The verbs of which compiled code is kept, in one file. Each byte of it is a character, so that it is read as it lies; what esbuild
 * leaves outside of ASCII is in comments.
 * @param {typeof import("esbuild").build} build
 */
async function compiledVerbs(build) {
  const { outputFiles } = await build({
    ...COMMON,
    stdin: {
      contents: COMPILED.map((verb) => `export { run as ${verb} } from "./${verb}.js";`).join("\n"),
      resolveDir: join(from, "cli"),
    },
    format: "cjs",
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
 * In the place of a verb stands who runs it from that file, unless the environment says that nothing is kept.
 * @param {string} name
 * @returns {import("esbuild").Plugin}
 */
const verbsAreCompiled = (name) => ({
  name: "verbs-are-compiled",
  setup(build) {
    const verbs = new RegExp(`^\\./(${COMPILED.join("|")})\\.js$`);
    build.onResolve({ filter: verbs }, ({ path, importer }) =>
      importer.endsWith("/cli/verbs.js") ? { path, namespace: "compiled" } : undefined,
    );
    build.onLoad({ filter: verbs, namespace: "compiled" }, ({ path }) => ({
      contents: `
        import { fileURLToPath } from "node:url";
        import { codeCacheFolder, runCompiled } from "./code-cache.js";
        export async function run(args) {
          const folder = codeCacheFolder();
          if (folder === undefined) return (await import("${path}")).run(args);
          return runCompiled(fileURLToPath(new URL("./${name}", import.meta.url)), "${basename(path, ".js")}", args, folder);
        }`,
      resolveDir: join(from, "cli"),
    }));
  },
});

async function bundle() {
  const { build } = await import("esbuild").catch(() => {
    console.error("scatterwire: esbuild is not installed: run `npm ci`");
    process.exit(1);
  });
  const verbs = await compiledVerbs(build);
  const { metafile, outputFiles } = await build({
    ...COMMON,
    entryPoints: ["index.js", "cli/main.js", ...WORKERS].map((name) => join(from, name)),
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    outdir: to,
    splitting: true,
    format: "esm",
    // Packages that are no modules of the language ask for what Node.js has by `require`.
    banner: {
      js: 'import { createRequire as requireMaker } from "node:module"; const require = requireMaker(import.meta.url);',
    },
    sourcemap: true,
    plugins: [labStaysOutside, verbsAreCompiled(verbs.name)],
    metafile: true,
  });
  mkdirSync(to, { recursive: true });
  // Chunks first, then who names them, and only then goes what nobody names any more: a program that starts meanwhile finds all.
  const isEntry = (/** @type {string} */ path) =>
    /^(index|main|worker-thread|sqlite-worker)\.js$/.test(basename(path));
  const files = [...outputFiles].sort((a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)));
  writeIfChanged(join(to, verbs.name), Buffer.from(verbs.text));
  for (const { path, contents } of files)
    writeIfChanged(path, path.endsWith(".map") ? withoutOurSources(contents) : contents);
  const licences = join(to, "LICENSES.txt");
  writeIfChanged(licences, Buffer.from(licencesOf(metafile)));
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
 * @param {import("esbuild").Metafile} metafile
 */
function licencesOf({ inputs }) {
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
