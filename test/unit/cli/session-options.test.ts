// What the options that download and seed share become, and what is said of wrong ones.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { Command } from "commander";
import {
  addSessionOptions,
  type SessionFlags,
  sessionOptions,
  tellSession,
} from "../../../src/cli/session-options.js";
import type { MappedPort, Session } from "../../../src/index.js";
import { temporaryFolder } from "../../support/data.js";

/** What the words of a command line become. */
async function optionsOf(isSeed: boolean, ...words: string[]) {
  const command = addSessionOptions(new Command("verb"), isSeed).exitOverride();
  command.configureOutput({ writeErr: () => {} });
  command.parse(words, { from: "user" });
  return sessionOptions(command.opts<SessionFlags>());
}

describe("the options that download and seed share", () => {
  const folder = temporaryFolder(after);

  it("are those of a session, and what is not given is left to it", async () => {
    assert.deepEqual(await optionsOf(false), { localPeers: false });
    const words = ["--max-upload", "1M", "--encryption", "required", "--local-peers"];
    const both = { maxUploadBytesPerSecond: 1_048_576, encryption: "required", localPeers: true };
    assert.deepEqual(await optionsOf(true, ...words), both);
    assert.equal((await optionsOf(true, "--port-mapping")).portMapping, true);
    const more = ["--max-download", "2K", "--outgoing", "127.0.0.7", "--outgoing", "::1"];
    assert.deepEqual(await optionsOf(false, ...words, ...more), {
      ...both,
      maxDownloadBytesPerSecond: 2048,
      outgoingAddresses: ["127.0.0.7", "::1"],
    });
    await assert.rejects(optionsOf(true, "--max-download", "2K"), /unknown option/);
  });

  it("take a list of addresses to keep out, of any known kind", async () => {
    const file = join(folder, "blocked.p2p");
    writeFileSync(file, "# ours\nBad people:10.0.0.0-10.0.0.255\n2001:db8::/32\nwhat is this\n");
    const { ipFilter } = await optionsOf(true, "--ip-filter", file);
    const kept = ["10.0.0.7", "2001:db8::1", "10.0.1.0"].map((host) => ipFilter?.has(host));
    assert.deepEqual(kept, [true, true, false]);
  });

  it("refuse what can be none, with what is meant", async () => {
    await assert.rejects(optionsOf(true, "--outgoing", "tun0"), /numeric address .*, not "tun0"/);
    const none = join(folder, "none");
    await assert.rejects(optionsOf(true, "--ip-filter", none), /--ip-filter .*none cannot be read: ENOENT/);
    writeFileSync(none, "<html>not found</html>\n");
    await assert.rejects(optionsOf(true, "--ip-filter", none), /has no line that is understood/);
    writeFileSync(none, "# nobody yet\n");
    assert.equal((await optionsOf(true, "--ip-filter", none)).ipFilter?.has("10.0.0.1"), false);
  });
});

describe("what a session says of itself", () => {
  const ofRouter: MappedPort = {
    family: 4,
    host: undefined,
    port: 6881,
    portOutside: 40_001,
    protocol: "UPnP",
  };
  const ofAddress: MappedPort = {
    ...{ family: 6, host: "2001:db8::1", port: 6881, portOutside: 6881, protocol: "PCP" },
  };

  /** What is written when a session tells of these, on both streams. */
  function heard(t: TestContext, json: boolean, mappings: readonly MappedPort[]): string[] {
    const lines: string[] = [];
    for (const stream of [process.stderr, process.stdout])
      t.mock.method(stream, "write", (text: string) => lines.push(text.trim()) > 0);
    const session = new EventEmitter();
    tellSession(session as Session, json);
    for (const mapping of mappings) session.emit("portMapped", mapping);
    session.emit("warning", "the router is gone");
    t.mock.restoreAll();
    return lines;
  }

  it("is each port that a router lets peers through to, once, and its warnings", (t) => {
    const other = { ...ofAddress, host: "2001:db8::2" };
    const moved = { ...ofRouter, portOutside: 40_002 };
    assert.deepEqual(heard(t, false, [ofRouter, ofAddress, other, ofRouter, moved]), [
      "port 6881 is mapped by UPnP: peers outside reach it at port 40001 of the router",
      "port 6881 is mapped by PCP: peers outside reach it over IPv6 at port 6881",
      "port 6881 is mapped by UPnP: peers outside reach it at port 40002 of the router",
      "scatterwire: the router is gone",
    ]);
  });

  it("is an event of JSON for each", (t) => {
    const [line = ""] = heard(t, true, [ofRouter]);
    assert.deepEqual(JSON.parse(line), { event: "portMapped", ...ofRouter, host: null });
  });
});
