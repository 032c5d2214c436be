// `node bus-error-fixture.js <case>`: sends itself a SIGBUS, with files mapped or not.

import { closeSync, ftruncateSync, openSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadBinding } from "../../src/native/binding.js";

const path = join(tmpdir(), `scatterwire-bus-${process.pid}`);
const fd = openSync(path, "w+");
unlinkSync(path);
ftruncateSync(fd, 1 << 20);
const what = process.argv[2];
if (what === "handled") process.on("SIGBUS", () => process.exit(5));
const engine = loadBinding().createEngine({
  slabBytes: 1 << 20,
  planEntries: 64,
  readyEntries: 64,
  completionEntries: 64,
  jobWords: 64,
});
const base = engine.map(fd, 1 << 20, true, false);
ftruncateSync(fd, 0);
engine.copy(base, 0, 5000);
if (engine.isIntact(base)) process.exit(1);
if (what === "unmapped") engine.unmap(base);
closeSync(fd);
process.kill(process.pid, "SIGBUS");
// A handler of Node's is told by the loop.
setTimeout(() => process.exit(2), 10_000);
