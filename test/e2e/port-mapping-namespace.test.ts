// Ports that a real router lets peers through to: Debian's miniupnpd, which does PCP, NAT-PMP and UPnP, between a network behind it and the rest
// of the world, each a network namespace. SSDP does not leave loopback, and a router forwards nothing to itself.
//
// It takes a machine that gives network namespaces, and nftables in them, to whoever runs the tests: that is a permission and no package, so
// where there are none these tests are left out, in CI as well, and say so.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { isInstalled, NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { Program } from "../support/program.js";

const TIMEOUT_MS = 300_000;
const IN_NAMESPACE = fileURLToPath(new URL("../support/port-mapping-in-namespace.js", import.meta.url));
// Whatever was started in it ends with it.
const OWN_NETWORK = [
  "--map-root-user",
  "--net",
  "--mount",
  "--pid",
  "--fork",
  "--kill-child",
  "--mount-proc",
];

/** What a router of today does: peers from inside go out, and in comes what miniupnpd lets in. */
const RULES = `
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop
    ct state established,related accept
    iifname "lan" accept
    jump miniupnpd
  }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting {
    type nat hook postrouting priority 100
    oifname "wan" meta nfproto ipv4 masquerade
    jump postrouting_miniupnpd
  }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`;

const ROUTER = (leases: string): string => `
ext_ifname=wan
listening_ip=lan
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
uuid=2f9ec1b3-fc77-4d4f-8f0f-5e0c9f1e9a01
lease_file=${leases}
allow 1024-65535 192.168.7.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`;

/** The far one's network is that of the script; the router and the inside have one each, which a process that sleeps keeps. */
const NETWORK = `set -e
ip link set lo up
unshare --net sleep 1000 & router=$!
unshare --net sleep 1000 & inside=$!
for pid in $router $inside; do
  while [ "$(readlink /proc/$pid/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
done
at_router() { nsenter --target $router --net "$@"; }
at_inside() { nsenter --target $inside --net "$@"; }
ip link add wan type veth peer name wan netns $router
ip link add lan netns $router type veth peer name lan netns $inside
ip address add 11.77.0.2/24 dev wan
ip address add 2001:db8:1::2/64 dev wan nodad
ip link set wan up
at_router sh -c '
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
  ip link set lo up
  ip address add 11.77.0.1/24 dev wan
  ip address add 2001:db8:1::1/64 dev wan nodad
  ip address add 192.168.7.1/24 dev lan
  ip address add 2001:db8:7::1/64 dev lan nodad
  ip link set wan up
  ip link set lan up
'
ip -6 route add 2001:db8:7::/64 via 2001:db8:1::1
at_inside sh -c '
  ip link set lo up
  ip address add 192.168.7.2/24 dev lan
  ip address add 192.168.7.3/24 dev lan
  ip address add 2001:db8:7::2/64 dev lan nodad
  ip link set lan up
  ip route add default via 192.168.7.1
  ip -6 route add default via 2001:db8:7::1
'
at_router nft -f "$1/rules"
`;

const isPossible = isInstalled({
  command: "unshare",
  probe: [
    ...OWN_NETWORK,
    ...["sh", "-c", 'ip link add wan type veth peer name lan && printf %s "$0" | nft -f -', RULES],
  ],
  debianPackage: "util-linux iproute2 nftables",
});
if (!isPossible)
  console.error(
    "scatterwire: no network namespace in which nftables translates addresses can be had here, so these tests are left out",
  );

describe("a session behind a real router", { timeout: TIMEOUT_MS + 30_000 }, () => {
  if (!isPossible) return;
  it("is reached from outside by PCP, NAT-PMP and UPnP, over IPv6 by PCP, for as long as it is open", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    requireInstalled(NEEDED.miniupnpd);
    const folder = mkdtempSync(join(tmpdir(), "scatterwire-router-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const leases = join(folder, "leases");
    writeFileSync(join(folder, "rules"), RULES);
    writeFileSync(join(folder, "router"), ROUTER(leases));
    const script = `${NETWORK}
      at_router ${NEEDED.miniupnpd.command} -d -f "$1/router" -P "$1/pid" >"$1/log" 2>&1 &
      shift
      exec "$0" "$@" $inside ${leases}`;
    const network = new Program("unshare", [
      ...OWN_NETWORK,
      ...["sh", "-c", script, process.execPath, folder, IN_NAMESPACE, "far"],
    ]);
    t.after(() => network.stop());
    const { status, errors } = await network.result();
    assert.equal(status, 0, errors);
    assert.deepEqual(
      network.lines.flatMap(({ protocol }) => (protocol === undefined ? [] : [protocol])),
      ["upnp", "nat-pmp", "pcp"],
    );
  });
});
