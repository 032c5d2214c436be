// The table of options: sound in itself, and the one source of types, checks, help and documents.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { UsageError } from "../../../src/base/errors.js";
import { checkOptions } from "../../../src/base/option-check.js";
import {
  CHECK_OPTIONS,
  CREATE_OPTIONS,
  type OptionTable,
  PEER_CONNECT_OPTIONS,
  SESSION_OPTIONS,
  TORRENT_OPTIONS,
} from "../../../src/client/option-table.js";
import {
  type CheckOptions,
  type CreateOptions,
  checkTorrent,
  createTorrentFile,
  describeMetainfo,
  type PeerConnectOptions,
  parseMetainfo,
  readMetainfo,
  Session,
  type SessionOptions,
  type TorrentOptions,
} from "../../../src/index.js";
import { withWritten, writtenFromTable } from "../../support/option-docs.js";
import { Program } from "../../support/program.js";
import { makeShared, nowhere } from "./session/loopback.js";

const ROOT = new URL("../../../../", import.meta.url);

/** Compiles only if both have the same names. */
type Same<A, B> = [keyof A, keyof B] extends [keyof B, keyof A] ? true : never;
const SAME_NAMES: readonly true[] = [
  true satisfies Same<SessionOptions, typeof SESSION_OPTIONS>,
  true satisfies Same<TorrentOptions, typeof TORRENT_OPTIONS>,
  true satisfies Same<PeerConnectOptions, typeof PEER_CONNECT_OPTIONS>,
  true satisfies Same<CheckOptions, typeof CHECK_OPTIONS>,
  true satisfies Same<CreateOptions, typeof CREATE_OPTIONS>,
];

describe("The table of options", () => {
  it("has sound defaults, and texts without ranges and defaults of their own", () => {
    assert.equal(SAME_NAMES.length, 5);
    const tables: OptionTable[] = [
      SESSION_OPTIONS,
      TORRENT_OPTIONS,
      PEER_CONNECT_OPTIONS,
      CHECK_OPTIONS,
      CREATE_OPTIONS,
    ];
    for (const table of tables) {
      for (const [name, spec] of Object.entries(table)) {
        assert.match(spec.text, /^[A-Z].*\.$|^libtorrent.*\.$/, name);
        assert.doesNotMatch(spec.text, /[Dd]efault/, name);
        if ("default" in spec) checkOptions(table, { [name]: spec.default }, "a test");
      }
    }
  });

  for (const written of writtenFromTable()) {
    it(`is what ${written.file} says (npm run options writes it)`, () => {
      const file = new URL(written.file, ROOT);
      const text = readFileSync(file, "utf8");
      const wanted = withWritten(text, written);
      if (process.env["SCATTERWIRE_WRITE_OPTIONS"] === "1") writeFileSync(file, wanted);
      else assert.equal(text, wanted);
    });
  }

  it("is what the command line's help says", async () => {
    const help = Program.cli("download", "--help");
    assert.equal(await help.ended, 0);
    const text = help.output.replace(/\s+/g, " ");
    const { maxRequests, receiveMode, poolBytes } = SESSION_OPTIONS;
    assert.ok(text.includes(`1 to ${maxRequests.max}, default ${maxRequests.default}`));
    assert.ok(text.includes(`default ${poolBytes.default / 2 ** 20}`));
    assert.ok(text.includes(`${receiveMode.names.join(", ")} (default: ${receiveMode.default})`));
    assert.ok(text.includes(TORRENT_OPTIONS.storage.names.join(", ")));
  });
});

describe("Options that are none", () => {
  const session: [object, RegExp][] = [
    [{ recieveMode: "scatter" }, /no option "recieveMode"; is receiveMode meant\?/],
    [{ xyzzyxyzzy: 1 }, /no option "xyzzyxyzzy"; those it has: listen, /],
    [{ listen: "127.0.0.1:80" }, /listen is an address such as .*, not "127.0.0.1:80"/],
    [{ listen: { host: "127.0.0.1", port: 70_000 } }, /whole number from 0 to 65535, not 70000/],
    [{ poolBytes: "32" }, /poolBytes is a whole number from 1048576 to \d+, not "32"/],
    [{ clockCosts: 1 }, /clockCosts is true or false, not 1/],
    [{ trace: "x" }, /trace is a function, not "x"/],
    [{ peerId: "x" }, /peerId is a Uint8Array of 20 bytes, not "x"/],
    [{ dht: {} }, /dht has the methods lookup, announce, addNodes, not an Object/],
    [
      { dht: { lookup: () => {}, announce: () => {}, addNodes: () => {} } },
      /dht.addresses is an array, not undefined/,
    ],
  ];
  for (const [options, message] of session) {
    it(`are refused by a session: ${JSON.stringify(options)}`, () => {
      assert.throws(() => new Session(options), { name: "UsageError", code: "USAGE_OPTION", message });
    });
  }

  const torrent: [object, RegExp][] = [
    [{ directory: "" }, /directory is the path of a folder \("\." is the current one\), not ""/],
    [{ directory: 5 }, /directory is the path of a folder/],
    [{ onBlock: 5 }, /onBlock is a function, not 5/],
    [{ writeRunBytes: 5 }, /writeRunBytes is .* from 16384 to 4194304, a multiple of 16384, not 5/],
    [{ signal: 5 }, /signal is an AbortSignal, not 5/],
    [{ peers: "x" }, /peers is an array of addresses/],
    [{ peers: [{ host: "127.0.0.1", port: 0 }] }, /a peer has a port, a whole number from 1 to 65535, not 0/],
    [{ verify: "no" }, /verify is true or false, not "no"/],
    [{ storge: "file" }, /is storage meant\?/],
  ];
  for (const [options, message] of torrent) {
    it(`are refused when a torrent is added: ${JSON.stringify(options)}`, async () => {
      const shared = await makeShared(100_000);
      await using session = new Session();
      const given = { ...nowhere(), ...options };
      await assert.rejects(session.add(shared.metainfo, given), {
        name: "UsageError",
        code: "USAGE_OPTION",
        message,
      });
      assert.equal(session.torrents.size, 0);
    });
  }

  it("are refused by every other call, with what is allowed", async () => {
    const shared = await makeShared(100_000);
    await using session = new Session();
    const rejects = (promise: Promise<unknown>, message: RegExp): Promise<void> =>
      assert.rejects(promise, (error) => error instanceof UsageError && message.test(error.message));
    await rejects(session.listen("127.0.0.1:80" as never), /address such as/);
    await rejects(session.add("a.torrent" as never, nowhere()), /readMetainfo\(path\)/);
    await rejects(session.add({} as never, nowhere()), /readMetainfo\(path\)/);
    const path = shared.folder as never;
    await rejects(checkTorrent(path, shared.folder), /readMetainfo\(path\)/);
    assert.throws(() => describeMetainfo(path), { code: "USAGE_OPTION", message: /readMetainfo\(path\)/ });
    assert.throws(() => parseMetainfo(undefined as never), { code: "USAGE_OPTION", message: /bytes/ });
    await rejects(session.add(shared.metainfo, 5 as never), /an object, not 5/);
    await rejects(readMetainfo(5 as never), /path/);
    await rejects(checkTorrent(shared.metainfo, ""), /folder/);
    await rejects(
      checkTorrent(shared.metainfo, shared.folder, { onProgres: 1 } as never),
      /onProgress meant/,
    );
    await rejects(createTorrentFile(shared.folder, { pieceLenght: 1 } as never), /pieceLength meant/);
    await rejects(createTorrentFile(shared.folder, { pieceLength: 1 }), /from 16384 to/);
    const torrent = await session.add(shared.metainfo, nowhere());
    assert.throws(() => torrent.addPeer("127.0.0.1:80" as never), /address such as/);
    assert.throws(() => torrent.addPeer({ host: "127.0.0.1", port: 1 }, { mode: 1 } as never), /no option/);
  });

  it("and the bytes of a torrent file are taken for what they are", async () => {
    const shared = await makeShared(100_000);
    await using session = new Session();
    const bytes = await createTorrentFile(shared.folder);
    const torrent = await session.add(Buffer.from(bytes), nowhere());
    assert.equal(torrent.progress().bytesTotal, 100_000);
    assert.equal(describeMetainfo(bytes).totalLength, 100_000);
    assert.equal((await checkTorrent(bytes, dirname(shared.folder))).complete, true);
    await assert.rejects(session.add(Buffer.from("no torrent"), nowhere()), { name: "MetainfoError" });
  });
});
