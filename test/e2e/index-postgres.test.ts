// An index in PostgreSQL, the real server: the contract.

import { after, before, describe } from "node:test";
import { openStore } from "../../src/indexer/store/open-store.js";
import { PostgresServer } from "../support/postgres.js";
import { testStore } from "../unit/indexer/store/contract.js";

describe("index on PostgreSQL", () => {
  let server: PostgresServer;
  let databases = 0;
  before(async () => {
    server = await PostgresServer.start();
  });
  after(() => server.stop());

  testStore("the store", {
    newPlace: () => server.makeDatabase(`index${databases++}`),
    open: openStore,
  });
});
