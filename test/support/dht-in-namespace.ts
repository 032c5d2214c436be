// A DHT of our nodes and one other client, in a network namespace of its own: some clients take no nodes at loopback addresses, and there every
// address may be given to `lo`. test/e2e/dht.test.ts runs this file by `unshare`.
//
// usage: node dht-in-namespace.js transmission|rtorrent
//
// Prints {"found": [peers]} when our nodes found what the client announced, and {"connected": host} when transmission has connected to the peer
// that one of our nodes announced.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts, withTracker } from "../../bench/rivals/clients.js";
import { TransmissionRpc } from "../../bench/rivals/transmission-rpc.js";
import { Dht } from "../../src/dht/index.js";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import { until } from "./clients.js";
import { bytesOf } from "./data.js";
import { Program } from "./program.js";

/** transmission holds a table of eight or fewer to be none. */
const NODES = 14;
const TIMEOUT_MS = 240_000;
const PAUSE_MS = 500;
const CLIENT = "10.77.0.2";

interface Client {
  readonly program: Program;
  readonly port: number;
  /** Begins to download another torrent. */
  add?(torrent: string): Promise<void>;
}

/** Seeds `torrent` from `home`, and knows the nodes. */
async function startTransmission(torrent: string, home: string, nodes: readonly Dht[]): Promise<Client> {
  const [port, rpcPort] = await freePorts();
  const settings = {
    "bind-address-ipv4": CLIENT,
    "bind-address-ipv6": "::1",
    "dht-enabled": true,
    "lpd-enabled": false,
    "peer-port": port,
    "pex-enabled": false,
    "port-forwarding-enabled": false,
    "rename-partial-files": false,
    "rpc-bind-address": "127.0.0.1",
    "rpc-port": rpcPort,
    "rpc-whitelist-enabled": false,
    "utp-enabled": false,
  };
  await writeFile(join(home, "settings.json"), JSON.stringify(settings));
  const lines = nodes.map((node) => `${node.addresses[0]!.host} ${node.addresses[0]!.port}\n`);
  await writeFile(join(home, "dht.bootstrap"), lines.join(""));
  const args = ["--foreground", "--config-dir", home, "--log-error"];
  const program = new Program("transmission-daemon", args, { name: "transmission" });
  const rpc = new TransmissionRpc(rpcPort);
  await rpc.add(torrent, home, "seed");
  const add = async (other: string): Promise<void> => {
    await rpc.call("torrent-add", { filename: other, "download-dir": home });
  };
  return { program, port, add };
}

async function startRtorrent(torrent: string, home: string, nodes: readonly Dht[]): Promise<Client> {
  const [port, dhtPort] = await freePorts();
  const rc = join(home, "rc");
  const copy = join(home, "copy.torrent");
  await writeFile(copy, withTracker(await readFile(torrent)));
  const commands = [
    "system.daemon.set=true",
    `session.path.set=${home}`,
    `directory.default.set=${home}`,
    `network.bind_address.set=${CLIENT}`,
    `network.port_range.set=${port}-${port}`,
    "network.port_random.set=no",
    "protocol.pex.set=no",
    "trackers.use_udp.set=no",
    `dht.port.set=${dhtPort}`,
    "dht.mode.set=on",
    `load.start=${copy}`,
    ...nodes.map(
      (node) =>
        `schedule2=node${node.addresses[0]!.port},1,0,"dht.add_node=${node.addresses[0]!.host}:${node.addresses[0]!.port}"`,
    ),
  ];
  await writeFile(rc, `${commands.join("\n")}\n`);
  const program = new Program("rtorrent", ["-n", "-o", `import=${rc}`]);
  return { program, port };
}

async function main(kind: string): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "scatterwire-dht-namespace-"));
  const nodes: Dht[] = [];
  let client: Client | undefined;
  const server = createServer();
  try {
    for (let index = 0; index < NODES; index++) {
      const listen = [{ host: `10.77.0.${10 + index}`, port: 0 }];
      nodes.push(new Dht({ listen, bootstrap: nodes[0]?.addresses ?? [], limitsNetworks: false }));
    }
    await until(async () => nodes.every((node) => node.stats().contacts >= NODES / 2), TIMEOUT_MS);
    const data = join(home, "data.bin");
    writeFileSync(data, bytesOf(5, 300_000));
    const file = await createTorrentFile(data, { pieceLength: 32_768 });
    const torrent = join(home, "data.torrent");
    writeFileSync(torrent, file);
    const start = kind === "transmission" ? startTransmission : startRtorrent;
    client = await start(torrent, home, nodes);
    let found: string[] = [];
    await until(
      async () => {
        found = [];
        for await (const { host, port } of nodes[5]!.lookup(parseMetainfo(file).infoHash))
          found.push(`${host}:${port}`);
        return found.length > 0;
      },
      TIMEOUT_MS,
      PAUSE_MS,
    );
    assert.deepEqual(found, [`${CLIENT}:${client.port}`]);
    process.stdout.write(`${JSON.stringify({ found })}\n`);

    // rtorrent was not seen to ask for the peers of another torrent within minutes.
    if (client.add === undefined) return;

    const connected = new Promise<string>((resolve) => {
      server.once("connection", (socket) => {
        resolve(socket.remoteAddress ?? "");
        socket.destroy();
      });
    });
    // Peers get the address that announces come from.
    await new Promise<void>((resolve) => server.listen(0, "10.77.0.13", resolve));
    const elsewhere = join(home, "other");
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, "wanted.bin"), bytesOf(6, 300_000));
    const wanted = await createTorrentFile(join(elsewhere, "wanted.bin"), { pieceLength: 32_768 });
    writeFileSync(join(elsewhere, "wanted.torrent"), wanted);
    const { infoHash } = parseMetainfo(wanted);
    const taken = await nodes[3]!.announce(infoHash, { port: (server.address() as AddressInfo).port });
    assert.ok(taken >= NODES / 2, `${taken} nodes took it`);
    await client.add(join(elsewhere, "wanted.torrent"));
    process.stdout.write(`${JSON.stringify({ connected: await connected })}\n`);
  } finally {
    server.close();
    for (const node of nodes) node.close();
    await client?.program.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

await main(process.argv[2] ?? "");
