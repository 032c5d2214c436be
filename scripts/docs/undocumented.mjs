// Lists what of the public API has no words of its own: exports of the package's entries, and their members, by file. One line each:
// FILE NAME. A test holds how many there are.
//
//   node scripts/docs/undocumented.mjs

import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** @type {{ exports: Record<string, { types?: string } | string> }} */
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const entries = Object.values(manifest.exports).flatMap((entry) =>
  typeof entry === "object" && entry.types !== undefined
    ? [join(root, entry.types.replace(/^\.\/dist\//, "").replace(/\.d\.ts$/, ".ts"))]
    : [],
);
const program = ts.createProgram(entries, {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  strict: true,
  noEmit: true,
});
const checker = program.getTypeChecker();
/** @type {Set<string>} */
const lines = new Set();

/** @param {ts.Symbol} symbol */
const isDescribed = (symbol) =>
  symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0;

/** @param {ts.Symbol} symbol @param {string} name */
function look(symbol, name) {
  const file = symbol.declarations?.[0]?.getSourceFile().fileName ?? "";
  if (file.includes("node_modules") || isDescribed(symbol)) return;
  lines.add(`${relative(root, file)} ${name}`);
}

for (const entry of entries) {
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${entry} exports nothing`);
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol =
      (exported.flags & ts.SymbolFlags.Alias) === 0 ? exported : checker.getAliasedSymbol(exported);
    look(symbol, symbol.name);
    for (const declaration of symbol.declarations ?? []) {
      const isWithMembers = ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration);
      for (const member of isWithMembers ? declaration.members : []) {
        const isPrivate = (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) !== 0;
        // What is reached by a symbol is what the language says of it.
        if (member.name === undefined || isPrivate || !ts.isIdentifier(member.name)) continue;
        const named = checker.getSymbolAtLocation(member.name);
        if (named !== undefined) look(named, `${symbol.name}.${named.name}`);
      }
    }
  }
}
process.stdout.write([...lines].sort().join("\n") + (lines.size > 0 ? "\n" : ""));
