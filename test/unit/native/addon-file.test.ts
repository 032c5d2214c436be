// The name of a prebuilt addon, and the C library that a program runs with: asked of programs that were written for it.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, describe, it } from "node:test";
import { libcOf, NODE_API_VERSION, prebuiltFile, prebuiltName } from "../../../src/native/addon-file.js";
import { temporaryFolder } from "../../support/data.js";

const ROOT = new URL("../../../../", import.meta.url);

describe("the prebuilt addon's name", () => {
  it("tells platform, processor, C library and Node-API", () => {
    assert.equal(prebuiltName("linux", "x64", "glibc"), "scatterwire-linux-x64-glibc-napi8.node");
    assert.equal(prebuiltName("linux", "arm64", "musl"), "scatterwire-linux-arm64-musl-napi8.node");
    assert.equal(prebuiltName("darwin", "arm64", undefined), "scatterwire-darwin-arm64-napi8.node");
  });

  it("says the version that the addon is compiled for, which this Node.js has", () => {
    const gyp = readFileSync(new URL("binding.gyp", ROOT), "utf8");
    assert.match(gyp, new RegExp(`"NAPI_VERSION=${NODE_API_VERSION}"`));
    assert.ok(Number(process.versions["napi"]) >= NODE_API_VERSION);
  });

  it("is this process's for the addon that is looked for", () => {
    const report = process.report.getReport() as unknown as {
      header: { glibcVersionRuntime?: string };
    };
    const libc = report.header.glibcVersionRuntime === undefined ? "musl" : "glibc";
    assert.equal(basename(prebuiltFile()), prebuiltName(process.platform, process.arch, libc));
  });
});

describe("the C library of a program", () => {
  const folder = temporaryFolder(after);
  let written = 0;

  /** An ELF program of 64 bits with `entries` program headers before the one that names `loader`. */
  const program = (loader: string, entries = 2, at = 4096): string => {
    const bytes = Buffer.alloc(at + loader.length + 1);
    bytes.write("\x7fELF\x02\x01\x01", "latin1");
    bytes.writeBigUInt64LE(64n, 32);
    bytes.writeUInt16LE(56, 54);
    bytes.writeUInt16LE(entries + 1, 56);
    for (let entry = 0; entry < entries; entry++) bytes.writeUInt32LE(1, 64 + entry * 56);
    const last = 64 + entries * 56;
    bytes.writeUInt32LE(3, last);
    bytes.writeBigUInt64LE(BigInt(at), last + 8);
    bytes.writeBigUInt64LE(BigInt(loader.length + 1), last + 32);
    bytes.write(`${loader}\0`, at, "latin1");
    return save(bytes);
  };
  const save = (bytes: Buffer): string => {
    const file = join(folder, `program-${written++}`);
    writeFileSync(file, bytes);
    return file;
  };

  it("is told by the loader that it names, wherever that lies", () => {
    assert.equal(libcOf(program("/lib/ld-musl-x86_64.so.1")), "musl");
    assert.equal(libcOf(program("/lib/ld-musl-aarch64.so.1", 11, 1 << 20)), "musl");
    assert.equal(libcOf(program("/lib64/ld-linux-x86-64.so.2")), "glibc");
    assert.equal(libcOf(program("/store/ld-musl-like/lib/ld-linux-aarch64.so.1")), "glibc");
  });

  it("is taken for glibc's where nothing is named, and whatever the bytes are", () => {
    const whole = readFileSync(program("/lib/ld-musl-x86_64.so.1"));
    for (let length = 0; length < 300; length++)
      assert.equal(libcOf(save(whole.subarray(0, length))), "glibc");
    const narrow = Buffer.from(whole);
    narrow[4] = 1;
    const far = Buffer.from(whole);
    far.writeBigUInt64LE(2n ** 63n, 64 + 2 * 56 + 8);
    const long = Buffer.from(whole);
    long.writeBigUInt64LE(2n ** 60n, 64 + 2 * 56 + 32);
    const without = Buffer.from(whole);
    without.writeUInt16LE(0, 54);
    assert.deepEqual(
      [narrow, far, without].map((bytes) => libcOf(save(bytes))),
      ["glibc", "glibc", "glibc"],
    );
    assert.equal(libcOf(save(long)), "musl", "what is there of it says enough");
    assert.equal(libcOf(join(folder, "nothing")), "glibc");
  });
});
