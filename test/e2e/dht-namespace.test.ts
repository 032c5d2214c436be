// Our DHT beside clients that take no nodes at loopback addresses, or are best kept by themselves: in a network of their own, of which every
// address is one of this machine's.
//
// It takes a machine that gives a network namespace to whoever runs the tests: that is a permission and no package, so where there is none these
// tests are left out, in CI as well, and say so.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { isInstalled, NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { Program } from "../support/program.js";

const TIMEOUT_MS = 270_000;
const IN_NAMESPACE = fileURLToPath(new URL("../support/dht-in-namespace.js", import.meta.url));

/** A network of its own, in which addresses are no loopback ones: transmission takes none of those into its table. */
function inNamespace(kind: string): Program {
  const hosts = [2, ...Array.from({ length: 14 }, (_, index) => 10 + index)];
  const addresses = hosts.map((host) => `ip address add 10.77.0.${host}/24 dev lo`);
  const script = ["ip link set lo up", ...addresses, 'exec "$0" "$@"'].join(" && ");
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
    kind,
  ]);
}

const isPossible = isInstalled(NEEDED.networkNamespace);
if (!isPossible)
  console.error("scatterwire: no network namespace can be had here, so these tests are left out");

describe("the DHT beside others in a network of their own", { timeout: 2 * TIMEOUT_MS }, () => {
  if (!isPossible) return;
  it("finds what transmission announced, and is asked by it for a peer", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    requireInstalled(NEEDED.transmission);
    const network = inNamespace("transmission");
    t.after(() => network.stop());
    const { found } = await network.line("found");
    assert.match(String(found), /^10\.77\.0\.2:\d+$/);
    assert.equal((await network.line("connected"))["connected"], "10.77.0.2");
    const { status, errors } = await network.result();
    assert.equal(status, 0, errors);
  });

  it("finds what rtorrent announced", { timeout: TIMEOUT_MS }, async (t) => {
    requireInstalled(NEEDED.rtorrent);
    const network = inNamespace("rtorrent");
    t.after(() => network.stop());
    const { found } = await network.line("found");
    assert.match(String(found), /^10\.77\.0\.2:\d+$/);
    const { status, errors } = await network.result();
    assert.equal(status, 0, errors);
  });
});
