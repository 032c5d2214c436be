// Writes the reference of the public API from the docstrings: docs/api.md, and one file beside it for each further entry of the package.
//
//   npm run docs                                writes them
//   node scripts/docs/write.mjs FOLDER          writes them elsewhere, for the test that compares
//
// TypeDoc reads the sources with a TypeScript of its own (package.json here says why).

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Application } from "typedoc";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const target = process.argv[2] ?? join(root, "docs");
/** @type {{ exports: Record<string, { types?: string } | string> }} */
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** "scatterwire" and its further entries, each with its source. */
const entries = Object.entries(manifest.exports).flatMap(([path, entry]) =>
  typeof entry === "object" && entry.types !== undefined
    ? [
        {
          name: path.replace(/^\.\/?/, "") || "index",
          source: join(root, entry.types.replace(/^\.\/dist\//, "").replace(/\.d\.ts$/, ".ts")),
        },
      ]
    : [],
);
/** @param {string} name */
const fileOf = (name) => (name === "index" ? "api.md" : `api-${name}.md`);

const folder = mkdtempSync(join(tmpdir(), "scatterwire-docs-"));
try {
  const application = await Application.bootstrapWithPlugins(
    /** @type {Partial<import("typedoc").TypeDocOptions>} */ ({
      plugin: ["typedoc-plugin-markdown"],
      entryPoints: entries.map(({ source }) => source),
      tsconfig: join(root, "tsconfig.json"),
      excludeExternals: true,
      excludeInternal: true,
      excludePrivate: true,
      excludeProtected: true,
      disableSources: true,
      readme: "none",
      // What compiles here is checked by the compiler that compiles it.
      skipErrorChecking: true,
      logLevel: "Warn",
      validation: { notExported: false, invalidLink: true, notDocumented: false },
      outputFileStrategy: "modules",
      flattenOutputFiles: true,
      hideBreadcrumbs: true,
      hidePageHeader: true,
      useCodeBlocks: true,
      interfacePropertiesFormat: "table",
      parametersFormat: "table",
      enumMembersFormat: "table",
      typeDeclarationFormat: "table",
    }),
  );
  const project = await application.convert();
  if (project === undefined) throw new Error("TypeDoc could not read the sources");
  application.validate(project);
  application.options.setValue("outputs", [{ name: "markdown", path: folder }]);
  await application.generateOutputs(project);
  if (application.logger.hasErrors() || application.logger.hasWarnings())
    throw new Error("TypeDoc warned: see above");
  for (const { name } of entries) writeFileSync(join(target, fileOf(name)), pageOf(name));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string} name */
function pageOf(name) {
  const file = readdirSync(folder).find((each) => each === `${name}.md`);
  if (file === undefined) throw new Error(`TypeDoc wrote nothing for ${name}: ${readdirSync(folder)}`);
  const title = name === "index" ? "scatterwire" : `scatterwire/${name}`;
  const links = new RegExp(`\\]\\((${entries.map((each) => each.name).join("|")})\\.md`, "g");
  const body = readFileSync(join(folder, file), "utf8")
    .replace(/^# .*$/m, `# ${title}`)
    .replace(links, (_all, to) => `](${fileOf(to)}`);
  const others = entries
    .filter((each) => each.name !== name)
    .map((each) => `[${fileOf(each.name)}](${fileOf(each.name)})`);
  return body.replace(
    /^# .*$/m,
    (heading) =>
      `${heading}\n\n<!-- written from the docstrings by \`npm run docs\` -->\n\nThe reference of what \`${title}\` exports. Other entries: ${others.join(", ")}.`,
  );
}
