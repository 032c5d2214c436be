// A torrent file in plain values, as `scatterwire info --json` prints it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeMetainfo } from "../../../../src/client/metainfo/describe.js";
import { parseMetainfo } from "../../../../src/client/metainfo/parse.js";
import { fileOf, folderOf, torrentOf } from "./torrent-bytes.js";

describe("describeMetainfo", () => {
  it("is plain values that survive JSON", () => {
    const outer = {
      announce: "http://a/x",
      comment: "c",
      "created by": "me",
      "creation date": 1_700_000_000,
    };
    const metainfo = parseMetainfo(torrentOf({ private: 1 }, outer));
    const description = describeMetainfo(metainfo);
    assert.deepEqual(description, {
      name: "n",
      infoHash: metainfo.infoHashHex,
      totalLength: 5,
      pieceLength: 16_384,
      pieceCount: 1,
      private: true,
      announce: [["http://a/x"]],
      comment: "c",
      createdBy: "me",
      created: "2023-11-14T22:13:20.000Z",
      files: [{ path: "n", length: 5, padding: false }],
      links: [],
      webSeeds: [],
      httpSeeds: [],
    });
    assert.deepEqual(JSON.parse(JSON.stringify(description)), description);
  });

  it("says null for what the torrent does not say", () => {
    const { comment, createdBy, created, announce } = describeMetainfo(parseMetainfo(torrentOf()));
    assert.deepEqual(
      { comment, createdBy, created, announce },
      { comment: null, createdBy: null, created: null, announce: [] },
    );
    const never = parseMetainfo(torrentOf({}, { "creation date": 2 ** 53 - 1 }));
    assert.equal(describeMetainfo(never).created, null);
  });

  it("joins paths below the name, and tells padding", () => {
    const files = [fileOf(["a", "b"]), fileOf([".pad", "1"], 1, { attr: "p" })];
    assert.deepEqual(describeMetainfo(parseMetainfo(folderOf(files))).files, [
      { path: "n/a/b", length: 5, padding: false },
      { path: "n/.pad/1", length: 1, padding: true },
    ]);
  });
});
