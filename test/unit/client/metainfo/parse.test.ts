// Torrent files are read, whoever made them; what cannot be used is refused, with what is wrong.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { MetainfoError, type MetainfoErrorCode } from "../../../../src/base/errors.js";
import { METAINFO_BYTES_MAX } from "../../../../src/base/limits.js";
import { describeOmissions } from "../../../../src/client/metainfo/describe.js";
import { parseMetainfo } from "../../../../src/client/metainfo/parse.js";
import { entryOf } from "../../../support/required.js";
import { dictionary, fileOf, folderOf, infoOf, torrentOf } from "./torrent-bytes.js";

/** Parsing fails with this code and text, on one line, at once. */
function refused(bytes: Uint8Array, code: MetainfoErrorCode, text: RegExp): void {
  assert.throws(
    () => parseMetainfo(bytes),
    (error) => {
      assert.ok(error instanceof MetainfoError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, text);
      assert.doesNotMatch(error.message, /[\p{Cc}]/u);
      assert.ok(error.message.length < 200, error.message);
      return true;
    },
  );
}

const pathsOf = (bytes: Uint8Array) => parseMetainfo(bytes).files.map((file) => file.path.join("|"));

describe("parseMetainfo", () => {
  it("reads a torrent of one file", () => {
    const metainfo = parseMetainfo(
      torrentOf(
        { private: 1 },
        { announce: " http://a/x ", comment: "\xc3\xa9", "created by": "me", "creation date": 1_700_000_000 },
      ),
    );
    const { infoHash, infoHashHex, info, pieces, ...rest } = metainfo;
    assert.deepEqual(createHash("sha1").update(info).digest(), Buffer.from(infoHash));
    assert.deepEqual(rest, {
      name: "n",
      pieceLength: 16_384,
      totalLength: 5,
      files: [{ path: ["n"], length: 5, offset: 0, padding: false }],
      isSingleFile: true,
      announce: [["http://a/x"]],
      private: true,
      comment: "é",
      createdBy: "me",
      creationDate: 1_700_000_000,
      links: [],
      webSeeds: [],
      httpSeeds: [],
      nodes: [],
    });
    assert.equal(Buffer.from(pieces).toString(), "p".repeat(20));
    assert.equal(Buffer.from(infoHash).toString("hex"), infoHashHex);
  });

  it("reads a torrent of several files: offsets, empty files, padding", () => {
    const files = [
      fileOf(["a"], 10),
      fileOf([".pad", "6"], 6, { attr: "p" }),
      fileOf(["empty"], 0),
      fileOf(["d", "\xc3\xbc"], 20_000, { attr: "xh" }),
      fileOf([".pad", "6"], 6, { attr: "hp" }),
      fileOf(["_____padding_file_1_if you see this"], 7),
      fileOf([".pad", "7"], 1),
    ];
    const metainfo = parseMetainfo(folderOf(files, { pieces: "p".repeat(40) }));
    assert.equal(metainfo.isSingleFile, false);
    assert.equal(metainfo.totalLength, 20_030);
    assert.deepEqual(
      metainfo.files.map(({ path, offset, padding }) => [path.join("/"), offset, padding]),
      [
        ["n/a", 0, false],
        ["n/.pad/6", 10, true],
        ["n/empty", 16, false],
        ["n/d/ü", 16, false],
        ["n/.pad/6", 20_016, true],
        ["n/_____padding_file_1_if you see this", 20_022, true],
        ["n/.pad/7", 20_029, false],
      ],
    );
  });

  it("reads what others read: bytes behind the end, padding without a path, pieces below 16 KiB", () => {
    const whole = torrentOf();
    for (const tail of ["\n", "\r\n\r\n", "garbage", "d4:infod4:name1:xee"]) {
      const { infoHashHex } = parseMetainfo(Buffer.concat([whole, Buffer.from(tail)]));
      assert.equal(infoHashHex, parseMetainfo(whole).infoHashHex);
    }
    const pad = fileOf(undefined, 6, { attr: "p" });
    assert.deepEqual(
      parseMetainfo(folderOf([fileOf(["a"], 10), pad, fileOf(["b"], 3)])).files.map((file) => file.padding),
      [false, true, false],
    );
    for (const pieceLength of [1, 5, 1000, 16_383]) {
      const count = Math.ceil(5 / pieceLength);
      const metainfo = parseMetainfo(
        torrentOf({ "piece length": pieceLength, pieces: "p".repeat(20 * count) }),
      );
      assert.equal(metainfo.pieceLength, pieceLength);
    }
  });

  it("leaves symbolic links out, which have no bytes, and says so of them and of web seeds", () => {
    const links = [
      fileOf(["l"], 0, { attr: "l", "symlink path": ["a"] }),
      dictionary([
        ["attr", "lx"],
        ["path", ["d", "m"]],
        ["symlink path", ["..", "a"]],
      ]),
    ];
    const { files, ...rest } = parseMetainfo(folderOf([fileOf(["a"], 10), ...links, fileOf(["b"], 3)]));
    assert.deepEqual(
      files.map((file) => [file.path.join("/"), file.offset]),
      [
        ["n/a", 0],
        ["n/b", 10],
      ],
    );
    assert.deepEqual(rest.links, ["n/l", "n/d/m"]);
    const seeds = { "url-list": ["http://a/", 5, ""], httpseeds: ["http://b/"] };
    const metainfo = parseMetainfo(torrentOf({}, seeds));
    assert.deepEqual([metainfo.webSeeds, metainfo.httpSeeds], [["http://a/"], ["http://b/"]]);
    assert.deepEqual(parseMetainfo(torrentOf({}, { "url-list": "http://c/" })).webSeeds, ["http://c/"]);
    assert.deepEqual(parseMetainfo(torrentOf({}, { "url-list": "" })).webSeeds, []);
    const omissions = describeOmissions({ ...metainfo, links: rest.links });
    assert.match(omissions.join("\n"), /2 symbolic links, such as n\/l.*\n.*web seeds.*http:\/\/b\//);
    const nodes = [
      ["dht.example", 6881],
      ["192.0.2.1", 0],
      ["::1", 70_000],
      [5, 5],
      ["x"],
      "y",
      ["2001:db8::1", 65_535],
      ["a", 1, 1],
    ];
    assert.deepEqual(parseMetainfo(torrentOf({}, { nodes })).nodes, [
      { host: "dht.example", port: 6881 },
      { host: "2001:db8::1", port: 65_535 },
    ]);
    assert.deepEqual(parseMetainfo(torrentOf({}, { nodes: "none" })).nodes, []);
    refused(folderOf([fileOf(["..", "x"], 0, { attr: "l" })]), "METAINFO_PATH", /unsafe path/);
    refused(folderOf([entryOf(links, 0)]), "METAINFO_MALFORMED", /all empty/);
  });

  it("keeps a folder of one file a folder", () => {
    const metainfo = parseMetainfo(folderOf([fileOf(["x"])]));
    assert.deepEqual([metainfo.isSingleFile, entryOf(metainfo.files, 0).path], [false, ["n", "x"]]);
  });

  it("takes the info hash over the bytes as they stand there", () => {
    const info = dictionary([
      ["pieces", "p".repeat(20)],
      ["unknown", { z: 1, a: [] }],
      ["name", "n"],
      ["length", 5],
      ["piece length", 16_384],
      ["", "empty key"],
    ]);
    for (const outer of [
      dictionary([["info", info]]),
      dictionary([
        ["zz", 1],
        ["info", info],
        ["a", "4:info"],
      ]),
    ]) {
      assert.equal(parseMetainfo(outer).infoHashHex, createHash("sha1").update(info).digest("hex"));
    }
  });

  it("keeps nothing of the bytes it was given, also of a Buffer", () => {
    const bytes = torrentOf();
    const metainfo = parseMetainfo(bytes);
    const before = structuredClone(metainfo);
    bytes.fill(0);
    assert.deepEqual(metainfo, before);
    assert.equal(metainfo.info.buffer.byteLength, metainfo.info.length);
    assert.equal(metainfo.pieces.buffer, metainfo.info.buffer);
  });

  it("reads the tiers of the announce list, or else the one tracker", () => {
    const announceOf = (outer: Record<string, unknown>) => parseMetainfo(torrentOf({}, outer)).announce;
    assert.deepEqual(announceOf({}), []);
    assert.deepEqual(announceOf({ announce: "a" }), [["a"]]);
    assert.deepEqual(announceOf({ announce: "a", "announce-list": [["b", "c"], ["d"]] }), [
      ["b", "c"],
      ["d"],
    ]);
    assert.deepEqual(announceOf({ announce: "a", "announce-list": [[], "x", [1, ""], 5] }), [["a"]]);
    assert.deepEqual(announceOf({ announce: 5, "announce-list": "x" }), []);
  });

  it("leaves out remarks of another type", () => {
    const outer = { comment: 1, "created by": [], "creation date": "yesterday", announce: {} };
    const metainfo = parseMetainfo(torrentOf({ private: "1" }, outer));
    assert.deepEqual(
      [metainfo.comment, metainfo.createdBy, metainfo.creationDate, metainfo.announce, metainfo.private],
      [undefined, undefined, undefined, [], false],
    );
  });

  it("takes a hybrid torrent as one of version 1, and says of version 2 that it is not supported", () => {
    const tree = { "file tree": { n: { "": { length: 5 } } }, "meta version": 2 };
    assert.equal(parseMetainfo(torrentOf(tree)).totalLength, 5);
    const onlyV2 = { ...tree, length: undefined, pieces: undefined };
    refused(torrentOf(onlyV2), "METAINFO_UNSUPPORTED", /version 2 only \(BEP 52\)/);
  });

  it("refuses what is no torrent file", () => {
    const cases: [bytes: string | Buffer, text: RegExp][] = [
      ["", /does not begin with a dictionary/],
      ["<!doctype html>", /does not begin with a dictionary/],
      ["li1ee", /does not begin with a dictionary/],
      ["d", /the bytes end too early at byte 1/],
      ["de", /no "info"/],
      ["d4:infoi1ee", /"info" is not a dictionary/],
      ["d4:infodee", /no name/],
      [
        dictionary([
          ["info", infoOf()],
          ["info", infoOf()],
        ]),
        /a second key "info"/,
      ],
      [
        dictionary([
          [
            "info",
            dictionary([
              ["name", "a"],
              ["name", "b"],
            ]),
          ],
        ]),
        /a second key "name"/,
      ],
      [`d1:a${"l".repeat(1_000_000)}`, /nested deeper than 100/],
      ["d1:al-3:ee", /no value at byte 5/],
      [Buffer.from("d5:\x1b[2J\x9b0:5:\x1b[2J\x9b0:e", "latin1"), /a second key "\?\[2J\?"/],
      ["d1:ai-0ee", /leading zero/],
      ["d4:info99999999999:", /longer than the bytes/],
    ];
    for (const [bytes, text] of cases) refused(Buffer.from(bytes), "METAINFO_MALFORMED", text);
  });

  it("refuses every cut of a torrent file", () => {
    const whole = folderOf([fileOf(["a"]), fileOf(["b"])]);
    for (let length = 0; length < whole.length; length++)
      refused(whole.subarray(0, length), "METAINFO_MALFORMED", /./);
  });

  it("refuses fields that are missing, of another type, out of range, or in conflict", () => {
    const cases: [changes: Record<string, unknown>, code: MetainfoErrorCode, text: RegExp][] = [
      [{ name: undefined }, "METAINFO_MALFORMED", /no name/],
      [{ name: 5 }, "METAINFO_MALFORMED", /no name/],
      [{ pieces: undefined }, "METAINFO_MALFORMED", /no "pieces"/],
      [{ pieces: [] }, "METAINFO_MALFORMED", /no "pieces"/],
      [{ pieces: "p".repeat(19) }, "METAINFO_MALFORMED", /1 pieces need 20 bytes of digests, and it has 19/],
      [{ pieces: "p".repeat(40) }, "METAINFO_MALFORMED", /and it has 40/],
      [{ length: 16_385 }, "METAINFO_MALFORMED", /2 pieces need 40/],
      [{ length: undefined }, "METAINFO_MALFORMED", /no length/],
      [{ length: "5" }, "METAINFO_MALFORMED", /no length/],
      [{ length: 0, pieces: "" }, "METAINFO_MALFORMED", /all empty/],
      [{ length: -1 }, "METAINFO_UNSUPPORTED", /length of -1/],
      [{ length: Buffer.from("i9007199254740993e") }, "METAINFO_UNSUPPORTED", /length of 9007199254740992/],
      [{ length: Buffer.from(`i${"9".repeat(400)}e`) }, "METAINFO_UNSUPPORTED", /length of Infinity/],
      [{ length: 2 ** 50 }, "METAINFO_UNSUPPORTED", /68719476736 pieces/],
      [{ "piece length": undefined }, "METAINFO_MALFORMED", /no piece length/],
      [{ "piece length": 0 }, "METAINFO_UNSUPPORTED", /piece length of 0/],
      [{ "piece length": -1 }, "METAINFO_UNSUPPORTED", /piece length of -1/],
      [{ "piece length": 2 ** 30 }, "METAINFO_UNSUPPORTED", /piece length of 1073741824/],
      [{ files: [fileOf(["a"])] }, "METAINFO_MALFORMED", /both "length" and "files"/],
    ];
    for (const [changes, code, text] of cases) refused(torrentOf(changes), code, text);
  });

  it("takes piece lengths that are no power of two", () => {
    const metainfo = parseMetainfo(
      torrentOf({ "piece length": 100_001, length: 200_003, pieces: "p".repeat(60) }),
    );
    assert.equal(metainfo.pieceLength, 100_001);
  });

  it("refuses files that are none", () => {
    const cases: [files: unknown, code: MetainfoErrorCode, text: RegExp][] = [
      [[], "METAINFO_MALFORMED", /not a list of files/],
      [5, "METAINFO_MALFORMED", /not a list of files/],
      [["x"], "METAINFO_MALFORMED", /file 0 is not a dictionary/],
      [[fileOf(undefined)], "METAINFO_MALFORMED", /file 0 has no path/],
      [[fileOf([])], "METAINFO_MALFORMED", /file 0 has no path/],
      [[fileOf("a")], "METAINFO_MALFORMED", /file 0 has no path/],
      [[fileOf(["a", 5])], "METAINFO_MALFORMED", /holds something that is no name/],
      [[fileOf(["a"]), dictionary([["path", ["b"]]])], "METAINFO_MALFORMED", /no length of file 1/],
      [[fileOf(["a"], -5), fileOf(["b"], 10)], "METAINFO_UNSUPPORTED", /length of file 0 of -5/],
      [[fileOf(["a"], 2 ** 53 - 1), fileOf(["b"], 1)], "METAINFO_MALFORMED", /longer than can be counted/],
      [[fileOf(["x".repeat(70_000)])], "METAINFO_MALFORMED", /"path" of 70008 bytes; at most 65536/],
    ];
    for (const [files, code, text] of cases) refused(torrentOf({ length: undefined, files }), code, text);
  });

  it("prefers names that are UTF-8, and keeps the bytes of others apart", () => {
    const utf8 = fileOf(["\xe9"], 5, { "path.utf-8": ["\xc3\xa9"] });
    assert.deepEqual(pathsOf(folderOf([utf8], { "name.utf-8": "\xc3\xbc" })), ["ü|é"]);
    assert.deepEqual(pathsOf(folderOf([fileOf(["\xe9"]), fileOf(["\xe8"])])), ["n|é", "n|è"]);
    assert.deepEqual(pathsOf(folderOf([fileOf(["\xef\xbb\xbfa"]), fileOf(["a"])])), ["n|\ufeffa", "n|a"]);
  });

  it("says what the torrent calls a file whose name was shortened, and nothing of others", () => {
    const long = `${"x".repeat(300)}.mkv`;
    const single = entryOf(parseMetainfo(torrentOf({ name: `a/${long}` })).files, 0);
    assert.deepEqual(single.originalPath, [long]);
    assert.equal(Buffer.byteLength(single.path.join("/")), 255);
    const files = parseMetainfo(folderOf([fileOf(["", "a"]), fileOf(["b", "", long])])).files;
    assert.deepEqual(
      files.map(({ originalPath }) => originalPath),
      [undefined, ["n", "b", long]],
    );
  });

  it("refuses paths that leave the folder, or meet", () => {
    for (const path of [
      [".."],
      ["a", "..", "b"],
      ["../x"],
      ["/etc/passwd"],
      ["a/b"],
      ["\0"],
      ["."],
      ["", ""],
    ]) {
      refused(folderOf([fileOf(path)]), "METAINFO_PATH", /unsafe path in the torrent, file 0/);
    }
    for (const name of ["", ".", "..", "/", "a/..", "a\0b"]) {
      refused(torrentOf({ name }), "METAINFO_PATH", /unsafe path in the torrent, the torrent's name/);
    }
    refused(folderOf([fileOf(["\x9b2J\x1b"]), fileOf(["\x9b2J\x1b"])]), "METAINFO_PATH", /"n\/\?2J\\u001b"/);
    refused(folderOf([fileOf(["a"]), fileOf(["a"])]), "METAINFO_PATH", /"n\/a": two files have this path/);
    refused(
      folderOf([fileOf(["a", "b"]), fileOf(["a"])]),
      "METAINFO_PATH",
      /"n\/a": it is a file and a folder/,
    );
    // 0xC0 0xAF was a slash to careless decoders of UTF-8; 0x2E is a full stop.
    assert.deepEqual(pathsOf(folderOf([fileOf(["\xc0\xae\xc0\xae\xc0\xaf"])])), ["n|À®À®À¯"]);
  });

  it("does not take a key of the prototype for one of its own", () => {
    const hidden = dictionary([
      ["__proto__", dictionary([["path", ["a"]]])],
      ["length", 5],
    ]);
    refused(folderOf([hidden]), "METAINFO_MALFORMED", /file 0 has no path/);
    // The package makes of this a dictionary that is an instance of Uint8Array.
    const forged = dictionary([["__proto__", "n"]]);
    refused(folderOf([fileOf([forged])]), "METAINFO_MALFORMED", /holds something that is no name/);
    assert.deepEqual(parseMetainfo(torrentOf({}, { "announce-list": [[forged, "a"]] })).announce, [["a"]]);
  });

  it("refuses more than can be read", () => {
    const large = Buffer.alloc(METAINFO_BYTES_MAX + 1);
    refused(large, "METAINFO_TOO_LARGE", /134217729 bytes; at most 134217728/);
    const values = Buffer.concat([Buffer.from("d1:al"), Buffer.alloc(6_000_010, "0:"), Buffer.from("ee")]);
    refused(values, "METAINFO_MALFORMED", /more than 3000000 values/);
    const tiers = Buffer.concat([Buffer.from("l"), Buffer.alloc(300_000, "le"), Buffer.from("e")]);
    refused(
      torrentOf({}, { "announce-list": tiers }),
      "METAINFO_MALFORMED",
      /"announce-list" of 300002 bytes/,
    );
  });

  it("takes no longer for what is made to take long", () => {
    const start = process.cpuUsage();
    const long = "x".repeat(5_000_000);
    assert.equal(parseMetainfo(torrentOf({ name: long })).name.length, 255);
    assert.equal(parseMetainfo(torrentOf({ name: `x${"/".repeat(5_000_000)}y` })).name, "y");
    const deep = Array<string>(2000).fill("a");
    const files = Array.from({ length: 500 }, (_, index) => fileOf([...deep, `${index}`], 1));
    assert.equal(parseMetainfo(folderOf(files)).files.length, 500);
    assert.ok(process.cpuUsage(start).user < 5_000_000, "linear time, of the processor");
  });
});
