// What a tracker is told that makes no sense is refused at once, with what it may be; nothing is open then.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UsageError } from "../../../../src/base/errors.js";
import {
  type AdmissionRules,
  scrapeTrackers,
  Tracker,
  type TrackerOptions,
  TrackerService,
  type TrackerServiceOptions,
} from "../../../../src/tracker/index.js";
import { refusesUnfit } from "../../../support/misuse.js";

const HERE = [{ host: "127.0.0.1", port: 0 }];
const TRACKER = {
  udp: "listens",
  intervalSeconds: "whole",
  peersDefault: "whole",
  peersMax: "whole",
  connectionKey: "words",
  connectionSlots: "whole",
  store: "table",
  swarms: "part",
  receiveBufferBytes: "whole",
  reusePort: "flag",
} as const;

describe("a tracker, misused", { timeout: 30_000 }, () => {
  it("refuses options that it does not have, and values that they may not have", async () => {
    await refusesUnfit(TRACKER, (options) =>
      new Tracker({ udp: HERE, ...options } as TrackerOptions).close(),
    );
    assert.throws(() => new Tracker({} as TrackerOptions), /udp is an array/);
    assert.throws(
      () => new Tracker({ udp: HERE, store: { bytesMax: 5 } }),
      /store\.bytesMax is a whole number from 1048576/,
    );
  });

  it("refuses the same with all its faces", async () => {
    const start = async (options: object): Promise<void> => {
      const service = await TrackerService.start({ udp: HERE, ...options } as TrackerServiceOptions);
      await service.close();
    };
    await refusesUnfit(
      {
        ...TRACKER,
        workers: "whole",
        http: "listens",
        httpLimits: "table",
        trustedProxies: "texts",
        rules: "table",
        webSockets: "flag",
        metrics: "address",
        token: "text",
        downloadsFile: "file",
        redis: "text",
        redisLogBytesMax: "whole",
        onWarning: "callback",
      },
      start,
    );
    await assert.rejects(
      start({ interval: 5 }),
      /has no option "interval"; is intervalSeconds meant\?|those it has/,
    );
    await assert.rejects(
      start({ httpLimits: { connectionsMax: 0 } }),
      /httpLimits\.connectionsMax is a whole number/,
    );
  });

  it("takes no entry of a list that is no info hash, and keeps the old list then", async () => {
    const [good, other] = ["ab".repeat(20), "cd".repeat(20)];
    const service = await TrackerService.start({ udp: [], rules: { allow: new Set([good]) } });
    try {
      for (const wrong of ["typo", good.slice(1), `${good}0`, "x".repeat(40), 5, null]) {
        const allow = new Set([other, wrong]) as AdmissionRules["allow"];
        assert.throws(() => service.replaceRules({ allow } as AdmissionRules), UsageError);
        await assert.rejects(service.replaceRulesInSteps({ deny: allow } as AdmissionRules), UsageError);
        await assert.rejects(
          TrackerService.start({ udp: [], rules: { allow } as AdmissionRules }),
          UsageError,
        );
        assert.deepEqual(service.admission.entries("allow", 0, 10), [good]);
      }
      for (const wrong of ["", "a key", "x".repeat(65), 5])
        assert.throws(
          () => service.replaceRules({ keys: new Set([wrong]) as AdmissionRules["keys"] } as AdmissionRules),
          (error) => error instanceof UsageError && !error.message.includes('a key"'),
        );
      service.replaceRules({ allow: new Set([other.toUpperCase()]) });
      assert.deepEqual(service.admission.entries("allow", 0, 10), [other]);
    } finally {
      await service.close();
    }
  });

  it("refuses a scrape of what is no tracker or no torrent", async () => {
    for (const [urls, hashes] of [
      [5, []],
      [[5], []],
      [[], 5],
      [[], ["x".repeat(20)]],
      [[], [new Uint8Array(19)]],
    ])
      await assert.rejects(scrapeTrackers(urls as string[], hashes as Uint8Array[]), UsageError);
    await assert.rejects(scrapeTrackers([], [], 5 as unknown as AbortSignal), UsageError);
  });
});
