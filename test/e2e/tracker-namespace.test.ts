// Our tracker and libtorrent, transmission, aria2 and our own client over UDP and HTTP, IPv4 and IPv6, in a network of their own, of which
// every address is one of this machine's: at loopback addresses transmission does without IPv6, and dials nobody.
//
// It takes a machine that gives a network namespace to whoever runs the tests: that is a permission and no package, so where there is none these
// tests are left out, in CI as well, and say so.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { isInstalled, NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { Program } from "../support/program.js";

const TIMEOUT_MS = 620_000;
const IN_NAMESPACE = fileURLToPath(new URL("../support/tracker-clients-in-namespace.js", import.meta.url));
// Whatever was started in it ends with it.
const OWN_NETWORK = ["--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"];
const HOSTS = "127.0.0.1 localhost\n::1 localhost\n2001:db8:77::1 tracker.test\n";
/** The default routes lead nowhere: transmission wants to see one before it believes in IPv6. */
const NETWORK = [
  "ip link set lo up",
  ...[1, 2, 3, 4, 5].flatMap((host) => [
    `ip address add 10.77.0.${host}/24 dev lo`,
    `ip address add 2001:db8:77::${host}/64 dev lo nodad`,
  ]),
  "ip route add default dev lo",
  "ip -6 route add default dev lo",
].join(" && ");

const isPossible = isInstalled({
  command: "unshare",
  probe: [...OWN_NETWORK, "sh", "-c", `${NETWORK} && mount --bind /etc/hosts /etc/hosts`],
  debianPackage: "util-linux iproute2 mount",
});
if (!isPossible)
  console.error("scatterwire: no network namespace can be had here, so these tests are left out");

describe("clients and the tracker in a network of their own", { timeout: 4 * TIMEOUT_MS }, () => {
  if (!isPossible) return;
  for (const protocol of ["udp", "http"] as const)
    for (const family of [4, 6] as const)
      it(`find each other over ${protocol} and IPv${family}, whoever was there first, and complete`, {
        timeout: TIMEOUT_MS,
      }, async (t) => {
        for (const needed of [NEEDED.transmission, NEEDED.aria2, NEEDED.libtorrentForPython])
          requireInstalled(needed);
        const folder = mkdtempSync(join(tmpdir(), "scatterwire-tracker-hosts-"));
        t.after(() => rmSync(folder, { recursive: true, force: true }));
        const hosts = join(folder, "hosts");
        writeFileSync(hosts, HOSTS);
        const script = `${NETWORK} && mount --bind ${hosts} /etc/hosts && exec "$0" "$@"`;
        const network = new Program("unshare", [
          ...OWN_NETWORK,
          ...["sh", "-c", script, process.execPath, IN_NAMESPACE, protocol, String(family)],
        ]);
        t.after(() => network.stop());
        const { seeded, scraped: first } = await network.line("seeded", TIMEOUT_MS);
        // aria2 asks trackers over UDP by IPv4 only.
        const whole = ["libtorrent", "ours", ...(protocol === "udp" && family === 6 ? [] : ["aria2"])];
        assert.deepEqual(seeded, whole);
        // Ours has told that it left, or is about to; who stays is a seeder, or about to say so.
        const { seeders, leechers } = first as { seeders: number; leechers: number };
        assert.ok(seeders >= 1 && seeders + leechers <= 1 + whole.length, JSON.stringify(first));
        const { found, scraped: second } = await network.line("found", TIMEOUT_MS);
        assert.equal(found, "transmission");
        const counts = second as { seeders: number; leechers: number };
        assert.ok(counts.seeders >= 1 && counts.seeders + counts.leechers === 2, JSON.stringify(second));
        const { status, errors } = await network.result();
        assert.equal(status, 0, errors);
      });
});
