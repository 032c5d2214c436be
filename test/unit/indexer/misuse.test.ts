// What an indexer, its store and its face are told that makes no sense is refused at once, with what it may be.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { UsageError } from "../../../src/base/errors.js";
import {
  Indexer,
  type IndexerOptions,
  IndexFace,
  type IndexFaceOptions,
  openStore,
  type StoreOptions,
} from "../../../src/indexer/index.js";
import { temporaryFolder } from "../../support/data.js";
import { refusesUnfit } from "../../support/misuse.js";

const HERE = { host: "127.0.0.1", port: 0 };

describe("an indexer, misused", { timeout: 60_000 }, () => {
  const folder = temporaryFolder(after);

  it("refuses options that it does not have, values that they may not have, and hashes that are none", async () => {
    const store = await openStore(join(folder, "index.sqlite"));
    const make = (options: object): Indexer =>
      new Indexer({ store, dht: { listen: [HERE] }, ...options } as IndexerOptions);
    try {
      await refusesUnfit(
        {
          store: "part",
          dht: "table",
          listen: "address",
          owner: "text",
          lookupsMax: "whole",
          lookupsPerSecond: "rate",
          connectionsMax: "whole",
          infoBytesMax: "whole",
          leaseMs: "whole",
          retryMs: "whole",
          collects: "flag",
          samples: "flag",
          keepsPrivate: "flag",
          retention: "table",
        },
        (options) => make(options).close(),
      );
      assert.throws(
        () => make({ dht: { listen: [HERE], hashes: { hashSeen() {} } } }),
        /has no option "hashes"/,
      );
      assert.throws(() => make({ store: undefined }), /needs a store/);
      const indexer = make({ samples: false });
      for (const wrong of [
        undefined,
        null,
        5,
        ["x".repeat(20)],
        [new Uint8Array(19)],
        [Buffer.from("short")],
      ])
        assert.throws(() => indexer.add(wrong as unknown as Uint8Array[]), UsageError);
      assert.equal(indexer.stats().counters.hashesSeen, 0);
      await indexer.close();
      const start = async (options: object): Promise<void> => {
        const { face } = await IndexFace.start({ store, listen: HERE, ...options } as IndexFaceOptions);
        await face.close();
      };
      await refusesUnfit(
        {
          store: "part",
          listen: "address",
          token: "text",
          status: "callback",
          trustedProxies: "texts",
          limits: "table",
        },
        start,
      );
      await assert.rejects(start({ listen: undefined }), /needs listen/);
    } finally {
      await store.close();
    }
  });

  it("refuses a store that is nowhere, and options that it does not have", async () => {
    for (const place of [undefined, null, 5, {}, ["x"]])
      await assert.rejects(openStore(place as unknown as string), UsageError);
    const file = join(folder, "never.sqlite");
    await refusesUnfit({ nowMs: "callback" }, (options) => openStore(file, options as StoreOptions));
  });

  it("keeps nothing of a call that the clock of the program broke, and ends", async () => {
    let isBroken = false;
    const nowMs = (): number => {
      if (isBroken) throw new Error("no clock");
      return Date.now();
    };
    const store = await openStore(join(folder, "clock.sqlite"), { nowMs });
    try {
      isBroken = true;
      for (let call = 0; call < 1200; call++) await assert.rejects(store.stats(), /no clock/);
      isBroken = false;
      await assert.rejects(store.release(Symbol("owner") as unknown as string), { name: "DataCloneError" });
      await store.stats();
    } finally {
      isBroken = true;
      await store.close();
    }
    await assert.rejects(openStore(join(folder, "broken.sqlite"), { nowMs }), /no clock/);
  });
});
