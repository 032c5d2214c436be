// Whatever bytes are taken for a torrent file: a Metainfo that keeps its promises, or MetainfoError, and soon.

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MetainfoError } from "../../src/base/errors.js";
import { describeMetainfo } from "../../src/client/metainfo/describe.js";
import { parseMetainfo } from "../../src/client/metainfo/parse.js";
import { Layout } from "../../src/client/storage/layout.js";
import { check } from "../support/property.js";
import { dictionary, fileOf, folderOf, torrentOf } from "../unit/client/metainfo/torrent-bytes.js";
import { mutationsOf } from "./mutate.js";

/** How many inputs became a Metainfo. */
let parsed = 0;

function tryParse(bytes: Uint8Array): void {
  const start = performance.now();
  try {
    const metainfo = parseMetainfo(bytes);
    // Builds without a failed assertion: the files follow each other and are the torrent.
    const layout = new Layout(metainfo);
    assert.equal(metainfo.pieces.length, 20 * layout.pieceCount);
    assert.ok(layout.pieceCount > 0);
    for (const { path } of metainfo.files) {
      assert.equal(relative("/folder", join("/folder", ...path)), path.join("/"));
    }
    JSON.stringify(describeMetainfo(metainfo));
    parsed++;
  } catch (error) {
    assert.ok(
      error instanceof MetainfoError,
      `not a MetainfoError: ${error instanceof Error ? error.stack : error}`,
    );
    assert.ok(error.message.length < 300 && !/\p{Cc}/u.test(error.message), "one line, and not a long one");
  }
  assert.ok(performance.now() - start < 2000, "parsing takes no time to speak of");
}

const samples = [
  torrentOf(
    { private: 1 },
    { announce: "http://a/x", "announce-list": [["http://a/x"], ["udp://b:1"]], comment: "c" },
  ),
  torrentOf({ "file tree": { n: { "": { length: 5 } } }, "meta version": 2 }),
  folderOf([
    fileOf(["a"], 5),
    fileOf([".pad", "9"], 9, { attr: "p" }),
    fileOf(["d", "\xc3\xa9"], 0, { "path.utf-8": ["d", "\xc3\xa9"], attr: "x" }),
    fileOf(["d", "e", "f"], 300),
  ]),
];

const keys = [
  "info",
  "name",
  "name.utf-8",
  "length",
  "piece length",
  "pieces",
  "files",
  "path",
  "path.utf-8",
  "attr",
];
keys.push(
  "private",
  "file tree",
  "meta version",
  "announce",
  "announce-list",
  "creation date",
  "__proto__",
  "",
);

/** Bencoded values of any shape, with the keys of torrent files, twice or out of order as it comes. */
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: "medium" },
    fc.constantFrom(0, 1, 5, 16_384, 2 ** 53 - 1, -1),
    fc.constantFrom("n", "..", "", "a/b", "p", "l", "p".repeat(20), "\xff"),
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.array(fc.tuple(fc.constantFrom(...keys), tie("tree")), { maxLength: 6 }).map(dictionary),
  ),
}));

describe("any bytes as a torrent file", () => {
  it("random bytes", () => {
    check(fc.property(fc.uint8Array({ maxLength: 200 }), tryParse), 5000);
    const letters = fc.constantFrom(..."dlie0123456789:-+.an");
    check(
      fc.property(fc.array(letters, { maxLength: 60 }), (text) => tryParse(Buffer.from(text.join("")))),
      20_000,
    );
  });

  it("torrent files with bytes changed, cut out, doubled or put in", () => {
    parsed = 0;
    check(fc.property(mutationsOf(samples), tryParse), 30_000);
    assert.ok(parsed > 100, `some of them are still torrent files: ${parsed}`);
  });

  it("dictionaries that resemble torrent files", () => {
    const field = fc.tuple(fc.constantFrom(...keys), tree);
    check(
      fc.property(fc.array(field, { maxLength: 5 }), (fields) =>
        tryParse(torrentOf(Object.fromEntries(fields))),
      ),
      10_000,
    );
    const entry = fc.array(field, { maxLength: 4 }).map(dictionary);
    check(
      fc.property(fc.array(entry, { maxLength: 4 }), (entries) => tryParse(folderOf(entries))),
      10_000,
    );
    const path = fc.array(fc.constantFrom("a", "b", ".", "", "a/", "\xe9"), { maxLength: 4 });
    const file = fc.tuple(path, fc.nat({ max: 9 })).map(([components, length]) => fileOf(components, length));
    parsed = 0;
    check(
      fc.property(fc.array(file, { maxLength: 5 }), (files) => tryParse(folderOf(files))),
      10_000,
    );
    assert.ok(parsed > 100, `some of them are torrent files: ${parsed}`);
  });
});
