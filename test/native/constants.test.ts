// The constants that both sides of the boundary count on: an addon that has another one, or none, is refused by its name, with what to do.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Program } from "../../bench/processes/program.js";
import { temporaryFolder } from "../support/data.js";

const ADDON =
  process.env["SCATTERWIRE_ADDON"] ??
  fileURLToPath(new URL("../../../build/Release/scatterwire.node", import.meta.url));
const BINDING = new URL("../../src/native/binding.js", import.meta.url).href;

describe("constants shared with the addon", () => {
  const folder = temporaryFolder(after);

  /** Loads an addon of which `change` (a JavaScript expression over `real`) is made: what came of it. */
  const load = async (change: string): Promise<{ status: number | null; said: string }> => {
    const forged = join(folder, "forged.cjs");
    writeFileSync(forged, `const real = require(${JSON.stringify(ADDON)}); module.exports = ${change};\n`);
    const code = `import { loadBinding } from ${JSON.stringify(BINDING)};
      try { loadBinding(); console.log("loaded"); }
      catch (error) { console.log(error.code + ": " + error.message); process.exitCode = 1; }`;
    const program = new Program(process.execPath, ["--input-type=module", "-e", code], {
      environment: { SCATTERWIRE_ADDON: forged },
    });
    return { status: await program.ended, said: program.output.trim() };
  };

  it("are the same in the addon that was built with these sources", async () => {
    assert.deepEqual(await load("real"), { status: 0, said: "loaded" });
  });

  it("refuse an addon that has another one, name it, and say how to build it again", async () => {
    const { constants } = createRequire(import.meta.url)(ADDON) as { constants: Record<string, number> };
    const names = Object.keys(constants);
    assert.ok(names.length >= 19, names.join(", "));
    for (const name of ["JOB_HEADER_WORDS", "JobKind.digestFiles", "MAPPING_ADDRESS_STRIDE"]) {
      assert.ok(names.includes(name), name);
      const changed = `{ ...real, constants: { ...real.constants, ${JSON.stringify(name)}: 5 } }`;
      const { status, said } = await load(changed);
      assert.equal(status, 1);
      assert.equal(
        said,
        `ADDON_MISSING: the native addon cannot be loaded (it was built from other sources: ${name} is 5 there, and ${constants[name]} here): run \`npm run build:addon\` (needs a C++20 compiler, make and python3)`,
      );
    }
  });

  it("refuse an addon from before there were any", async () => {
    const { status, said } = await load("{ ...real, constants: undefined }");
    assert.equal(status, 1);
    assert.match(said, /READABLE is missing there, and 1 here\): run `npm run build:addon`/);
  });
});

describe("an addon that Node.js may not load", () => {
  it("is no fault of a build: what allows it is said", async () => {
    const code = `import { loadBinding } from ${JSON.stringify(BINDING)};
      try { loadBinding(); } catch (error) { console.log(error.code + ": " + error.message); }`;
    const program = new Program(process.execPath, ["--no-addons", "--input-type=module", "-e", code]);
    assert.equal(await program.ended, 0, program.errors);
    assert.match(
      program.output,
      /^ADDON_MISSING: .*\(start Node\.js with --allow-addons beside --permission/,
    );
  });
});
