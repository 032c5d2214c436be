// The store in a file: the contract, files that are no index, one that another process holds, and a disk that is full.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../../../src/indexer/store/open-store.js";
import { testStore } from "./contract.js";

testStore("an index in SQLite", {
  newPlace: (context) => {
    const folder = mkdtempSync(join(tmpdir(), "scatterwire-index-"));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    return join(folder, "index.db");
  },
  open: openStore,
});
