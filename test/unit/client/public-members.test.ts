// What programs see of a session, of its torrents and of their connections, as TypeScript shows it: the declarations that are built. The
// list below is what the README and the comments explain. Whoever adds to it explains it there, and in the CHANGELOG.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { entryOf, required } from "../../support/required.js";

const DIST = new URL("../../../", import.meta.url);
const README = readFileSync(new URL("../README.md", DIST), "utf8");

const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  "src/client/session/session.d.ts Session": [
    "accept",
    "add",
    "addInBackground",
    "ban",
    "bans",
    "close",
    "connectionCount",
    "constructor",
    "costs",
    "counters",
    "dump",
    "get",
    "listen",
    "listenAddress",
    "mappedPorts",
    "poolBytes",
    "rateLimits",
    "setIpFilter",
    "setRateLimits",
    "stats",
    "torrents",
    "unban",
  ],
  "src/client/torrent/torrent.d.ts Torrent": [
    "addPeer",
    "announce",
    "blocks",
    "close",
    "connections",
    "counters",
    "createReadStream",
    "directory",
    "done",
    "files",
    "forgetPeer",
    "have",
    "infoHash",
    "isSuperSeeding",
    "metainfo",
    "move",
    "name",
    "pause",
    "peers",
    "progress",
    "rateLimits",
    "read",
    "ready",
    "recheck",
    "remove",
    "resume",
    "select",
    "setPriorities",
    "setRateLimits",
    "setReceiveMode",
    "state",
    "stats",
    "storageCounters",
    "storageKind",
    "trackers",
    "webSeeds",
  ],
  "src/client/over-stream/peer-connection.d.ts PeerConnection": [
    "address",
    "announce",
    "close",
    "closed",
    "incoming",
    "info",
    "isOpen",
    "opened",
    "overStream",
    "peerHas",
    "peerPieceCount",
    "readPiece",
    "use",
  ],
  "src/client/options.d.ts Connection": [
    "address",
    "disconnect",
    "extended",
    "extendedHandshake",
    "incoming",
    "info",
    "isOpen",
    "peerExtendedHandshake",
    "setRateLimits",
    "setReceiveMode",
    "stats",
    "use",
  ],
};

const read = (file: string): string => readFileSync(new URL(file, DIST), "utf8");

/** Names of the members that a declaration shows: no private ones, and none that are known by a symbol alone. */
function membersOf(file: string, name: string): string[] {
  const body = new RegExp(`^export (?:declare class|interface) ${name}\\b[^{]*\\{\\n([^]*?)^\\}`, "m").exec(
    read(file),
  );
  assert.ok(body !== null, `${file} declares ${name}`);
  // What is declared stands at the first level, comments and all else further in.
  const member = /^ {4}(?:(?:static|readonly|abstract|get|set) )*([A-Za-z]\w*)[(<:?]/gm;
  return [
    ...new Set([...entryOf(body, 1).matchAll(member)].map(([, found]) => required(found, "found"))),
  ].sort();
}

/** All names that src/index.ts exports, as often as it does. */
function publicNames(): string[] {
  const listed = [...read("src/index.d.ts").matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(
    ([, names]) =>
      required(names, "names")
        .split(",")
        .map((name) => name.trim().replace(/^type /, ""))
        .filter((name) => name !== ""),
  );
  const options = read("src/client/options.d.ts");
  const declared = [...options.matchAll(/^export (?:interface|type) (\w+)/gm)].map(([, name]) =>
    required(name, "name"),
  );
  return [...listed, ...declared];
}

describe("The public API", () => {
  for (const [where, expected] of Object.entries(MEMBERS)) {
    const [file, name] = where.split(" ") as [string, string];
    it(`of ${name} is what is listed here, and in the README`, () => {
      assert.deepEqual(membersOf(file, name), expected);
      const unsaid = expected.filter(
        (member) => member !== "constructor" && !new RegExp(`\\b${member}\\b`).test(README),
      );
      assert.deepEqual(unsaid, [], "the README speaks of each");
    });
  }

  it("has no name of the inside", () => {
    const names = publicNames();
    assert.ok(names.includes("Session") && names.includes("Connection"));
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
      "no name is there twice",
    );
    for (const name of ["WireConnection", "SessionCore", "TorrentCore", "sessionCoreOf", "torrentCoreOf"])
      assert.equal(names.includes(name), false, name);
  });
});
