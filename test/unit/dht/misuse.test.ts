// What a node of the DHT is told that makes no sense is refused at once, with what it may be.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UsageError } from "../../../src/base/errors.js";
import { type AnnounceOptions, Dht, type DhtOptions, type SampleOptions } from "../../../src/dht/index.js";
import { refusesUnfit } from "../../support/misuse.js";

const HERE = [{ host: "127.0.0.1", port: 0 }];
const HASH = new Uint8Array(20);

describe("a node of the DHT, misused", { timeout: 30_000 }, () => {
  it("refuses options that it does not have, and values that they may not have", async () => {
    const make = (options: object): void => new Dht({ listen: HERE, ...options } as DhtOptions).close();
    await refusesUnfit(
      {
        listen: "listens",
        bootstrap: "nodes",
        saved: "bytes",
        id: "id",
        externalAddress: "text",
        readOnly: "flag",
        limitsNetworks: "flag",
        incomingPerSecond: "rate",
        outgoingPerSecond: "rate",
        answersPerSecond: "rate",
        adaptsTimeouts: "flag",
        usesCache: "flag",
        staggersIds: "flag",
        peerBytesMax: "whole",
        hashes: "part",
        inject: "callback",
      },
      make,
    );
    assert.throws(() => new Dht({ lisen: HERE } as DhtOptions), /has no option "lisen"; is listen meant\?/);
    assert.throws(() => new Dht(null as unknown as DhtOptions), UsageError);
    assert.throws(() => make({ listen: [] }), UsageError);
  });

  it("refuses what lookups, announces, scrapes and samples cannot be told", async () => {
    const dht = new Dht({ listen: HERE });
    try {
      const lookup = { signal: "signal", noSeeds: "flag", sampler: "address" } as const;
      await refusesUnfit(lookup, (options) => dht.lookup(HASH, options));
      const announce = { ...lookup, port: "whole", ports: "table", seed: "flag" } as const;
      await refusesUnfit(announce, (options) => dht.announce(HASH, options as AnnounceOptions));
      await refusesUnfit({ signal: "signal" }, (options) => dht.scrape(HASH, options));
      await refusesUnfit({ signal: "signal", sweeps: "whole" }, (options) =>
        dht.sample(options as SampleOptions),
      );
      for (const wrong of [undefined, null, "x".repeat(20), new Uint8Array(19), [1]]) {
        const hash = wrong as unknown as Uint8Array;
        assert.throws(() => dht.lookup(hash), UsageError);
        await assert.rejects(dht.announce(hash), UsageError);
        await assert.rejects(dht.scrape(hash), UsageError);
        assert.throws(() => dht.addNodes(wrong as unknown as []), UsageError);
      }
      await assert.rejects(dht.announce(HASH, {}, 5 as unknown as () => void), UsageError);
    } finally {
      dht.close();
    }
  });
});
