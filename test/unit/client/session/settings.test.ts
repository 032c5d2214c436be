// Each option's bounds, and what is said when one is overstepped.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UsageError } from "../../../../src/base/errors.js";
import { KIB, MIB } from "../../../../src/base/limits.js";
import type { SessionOptions } from "../../../../src/client/options.js";
import { RECEIVE_MODES, SEND_MODES } from "../../../../src/client/options.js";
import { settleOptions } from "../../../../src/client/session/settings.js";

function refused(options: SessionOptions, message: RegExp): void {
  assert.throws(
    () => settleOptions(options),
    (error) => error instanceof UsageError && error.code === "USAGE_OPTION" && message.test(error.message),
    JSON.stringify(options),
  );
}

type NumberOption = Exclude<
  {
    [Key in keyof SessionOptions]-?: SessionOptions[Key] extends number | undefined ? Key : never;
  }[keyof SessionOptions],
  undefined
>;

const DAY_MS = 86_400_000;
const BOUNDS: Readonly<Record<NumberOption, readonly [min: number, max: number]>> = {
  speculationDepth: [1, 112],
  poolBytes: [MIB, 2048 * MIB],
  maxRequests: [1, 4096],
  maxPeers: [1, 1_000_000],
  maxPeersPerTorrent: [1, 1_000_000],
  maxPeersPerAddress: [1, 1_000_000],
  maxConnecting: [1, 10_000],
  maxDownloadBytesPerSecond: [0, 2 ** 40],
  maxUploadBytesPerSecond: [0, 2 ** 40],
  uploadSlots: [1, 10_000],
  recordBytesMax: [MIB, 2 ** 40],
  announcePort: [1, 65_535],
  receiveBufferBytes: [0, 2 ** 30],
  contiguousBufferBytes: [16 * KIB, 4 * MIB],
  sendBufferBytes: [0, 2 ** 30],
  connectTimeoutMs: [1, DAY_MS],
  handshakeTimeoutMs: [1, DAY_MS],
  requestTimeoutMs: [1, DAY_MS],
  idleTimeoutMs: [1, DAY_MS],
  sendTimeoutMs: [1, DAY_MS],
};

describe("settleOptions", () => {
  it("has the documented defaults", () => {
    const { peerId, ...settings } = settleOptions({});
    assert.equal(Buffer.from(peerId).toString("latin1").slice(0, 8), "-SW0100-");
    assert.deepEqual(settings, {
      listen: undefined,
      outgoingAddresses: [],
      trackers: true,
      localPeers: false,
      portMapping: false,
      announcePort: undefined,
      announceIp: undefined,
      dht: undefined,
      record: undefined,
      traceFile: undefined,
      recordBytesMax: 1024 * MIB,
      ipFilter: undefined,
      admit: undefined,
      receiveMode: { name: "adaptive", depth: 112, contiguousWhenIdle: false },
      sendMode: "copy",
      poolBytes: 32 * MIB,
      maxRequests: 2000,
      encryption: "enabled",
      maxPeers: 5000,
      maxPeersPerTorrent: 4000,
      maxPeersPerAddress: 8,
      maxConnecting: 256,
      limitLoopback: false,
      maxDownloadBytesPerSecond: 0,
      maxUploadBytesPerSecond: 0,
      uploadSlots: 8,
      receiveBufferBytes: 0,
      contiguousBufferBytes: 256 * KIB,
      sendBufferBytes: 0,
      connectTimeoutMs: 10_000,
      handshakeTimeoutMs: 10_000,
      requestTimeoutMs: 20_000,
      idleTimeoutMs: 150_000,
      sendTimeoutMs: 30_000,
    });
  });

  for (const [name, [min, max]] of Object.entries(BOUNDS)) {
    it(`${name} is a whole number from ${min} to ${max}`, () => {
      for (const value of [min, max]) assert.ok(settleOptions({ [name]: value }));
      const message = new RegExp(`^${name} is a whole number from ${min} to ${max}, not `);
      for (const value of [min - 1, max + 1, min + 0.5, Number.NaN, Number.POSITIVE_INFINITY, "7"])
        refused({ [name]: value } as SessionOptions, message);
    });
  }

  it("outgoingAddresses are numeric, one of each kind", () => {
    assert.ok(settleOptions({ outgoingAddresses: ["10.0.0.1", "fe80::1%eth0"] }));
    refused({ outgoingAddresses: ["tun0"] }, /^outgoingAddresses are numeric addresses .*, not "tun0"$/);
    refused({ outgoingAddresses: ["10.0.0.1", "10.0.0.2"] }, /one of IPv4 and one of IPv6 at the most/);
    refused({ outgoingAddresses: "10.0.0.1" as never }, /^outgoingAddresses is an array of texts/);
  });

  it("half of a small pool is left to blocks", () => {
    assert.ok(settleOptions({ poolBytes: 2 * MIB, contiguousBufferBytes: MIB }));
    refused({ poolBytes: 2 * MIB, contiguousBufferBytes: MIB + 1 }, /contiguousBufferBytes/);
  });

  it("modes are those that there are", () => {
    for (const receiveMode of RECEIVE_MODES) {
      const settings = settleOptions({ receiveMode, speculationDepth: 5 });
      assert.deepEqual(settings.receiveMode, { name: receiveMode, depth: 5, contiguousWhenIdle: false });
    }
    for (const sendMode of SEND_MODES) assert.equal(settleOptions({ sendMode }).sendMode, sendMode);
    refused({ receiveMode: "fast" as never }, /^receiveMode is one of contiguous, .*, not "fast"$/);
    refused({ sendMode: "fast" as never }, /^sendMode is one of copy, mapped, sendfile, not "fast"$/);
  });

  it("contiguousRecvBuffers does what libtorrent's contiguous_recv_buffers did, and not beside receiveMode", () => {
    const modeFor = (contiguousRecvBuffers: boolean) => settleOptions({ contiguousRecvBuffers }).receiveMode;
    assert.deepEqual(modeFor(true), { name: "contiguous", depth: 112, contiguousWhenIdle: false });
    assert.deepEqual(modeFor(false), { name: "scatter", depth: 112, contiguousWhenIdle: true });
    refused({ contiguousRecvBuffers: true, receiveMode: "scatter" }, /say the same thing/);
  });

  it("a peer id has 20 bytes, and is kept as it was given", () => {
    const peerId = new Uint8Array(20).fill(7);
    const settled = settleOptions({ peerId });
    peerId.fill(8);
    assert.deepEqual(settled.peerId, new Uint8Array(20).fill(7));
    for (const length of [0, 19, 21])
      refused({ peerId: new Uint8Array(length) }, new RegExp(`^peerId has 20 bytes, not ${length}$`));
  });
});
