// Our DHT and those of libtorrent, transmission, rtorrent, aria2 and bittorrent-dht as one: each finds what ours announced and what another did, and
// ours what each of them did. They are in a network of their own, of which every address is one of this machine's: some take no nodes
// at loopback addresses.
//
// It takes a machine that gives a network namespace to whoever runs the tests: that is a permission and no package, so where there is none these
// tests are left out, in CI as well, and say so.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { isInstalled, NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { FOUND } from "../support/dht-clients.js";
import { Program } from "../support/program.js";

const TIMEOUT_MS = 480_000;
const IN_NAMESPACE = fileURLToPath(new URL("../support/dht-in-namespace.js", import.meta.url));

/** A network of its own, in which addresses are no loopback ones. Who binds to none has the first. */
function inNamespace(): Program {
  const hosts = [2, 3, 4, 5, ...Array.from({ length: 13 }, (_, index) => 10 + index)];
  const addresses = [...hosts.map((host) => `10.77.0.${host}/24`), `${FOUND.host}/32`];
  const commands = addresses.map((address) => `ip address add ${address} dev lo`);
  const script = ["ip link set lo up", ...commands, 'exec "$0" "$@"'].join(" && ");
  return new Program("unshare", [
    "--map-root-user",
    "--net",
    // Whatever was started in it ends with it.
    "--pid",
    "--fork",
    "--kill-child",
    "sh",
    "-c",
    script,
    process.execPath,
    IN_NAMESPACE,
  ]);
}

const isPossible = isInstalled(NEEDED.networkNamespace);
if (!isPossible)
  console.error("scatterwire: no network namespace can be had here, so these tests are left out");

/** Who is seen to connect to peers finds those of ours and of bittorrent-dht; who tells what it found is asked for those of everybody. */
const CONNECTING = ["aria2", "rtorrent", "transmission"];
const TELLING = ["bittorrent-dht", "libtorrent"];

describe("the DHT beside others in a network of their own", { timeout: TIMEOUT_MS + 30_000 }, () => {
  if (!isPossible) return;
  it("is one with five others: each finds what another announced", { timeout: TIMEOUT_MS }, async (t) => {
    for (const needed of [NEEDED.libtorrentForPython, NEEDED.transmission, NEEDED.rtorrent, NEEDED.aria2])
      requireInstalled(needed);
    const network = inNamespace();
    t.after(() => network.stop());
    const { status, errors } = await network.result();
    const found = new Set(network.lines.map(({ finder, announcer }) => `${finder} ${announcer}`));
    assert.equal(status, 0, `${errors}\n${[...found].join("\n")}`);
    for (const name of [...CONNECTING, ...TELLING]) assert.ok(found.has(`ours ${name}`), name);
    for (const name of CONNECTING)
      assert.ok(found.has(`${name} ours`) && found.has(`${name} bittorrent-dht`), name);
    for (const name of TELLING)
      for (const announcer of ["ours", ...CONNECTING, ...TELLING])
        assert.ok(announcer === name || found.has(`${name} ${announcer}`), `${name} ${announcer}`);
  });
});
