// Writes the version of package.json into src/base/version.ts: what `npm version` runs.

import { readFileSync, writeFileSync } from "node:fs";

const packageFile = new URL("../package.json", import.meta.url);
const sourceFile = new URL("../src/base/version.ts", import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, "utf8"));
const before = readFileSync(sourceFile, "utf8");
const after = before.replace(/VERSION = "[^"]*"/, `VERSION = "${version}"`);
if (!after.includes(`VERSION = "${version}"`)) throw new Error("src/base/version.ts has no VERSION");
writeFileSync(sourceFile, after);
