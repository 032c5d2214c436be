// Trackers for tests, each with one torrent on its list and addresses of loopback only: ours as a program, Debian's opentracker, and the
// server of the npm package bittorrent-tracker.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Server } from "bittorrent-tracker";
import { requireInstalled } from "../../bench/rivals/installed.js";
import { freePort, Program } from "./program.js";

export type TrackerProtocol = "udp" | "http";

export interface TrackerKind {
  readonly name: string;
  /** Resolves with the address to announce at. The swarm of `infoHash` (hexadecimal) is kept. */
  start(t: TestContext, protocol: TrackerProtocol, host: string, infoHash: string): Promise<string>;
}

const OPENTRACKER = {
  command: "opentracker",
  // It knows no option that does nothing: what it says of a wrong one shows that it is there.
  probe: ["-h"],
  debianPackage: "opentracker",
};

/** A torrent of libtorrent's, which has no tracker, with one: "announce" comes before all keys that it has, and is in no info hash. */
export function withTracker(torrent: Uint8Array, url: string): Buffer {
  return Buffer.concat([Buffer.from(`d8:announce${url.length}:${url}`), torrent.subarray(1)]);
}

function announceAt(protocol: TrackerProtocol, host: string, port: number): string {
  return `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}/announce`;
}

export const ours: TrackerKind = {
  name: "scatterwire tracker",
  start: async (t, protocol, host) => {
    const at = `${host.includes(":") ? `[${host}]` : host}:0`;
    const program = Program.cli("tracker", `--${protocol}`, at, "--interval", "30", "--json");
    t.after(() => program.stop());
    const { port } = await program.line("port");
    return announceAt(protocol, host, Number(port));
  },
};

/** IPv4 only, as Debian builds it. It says nothing when it is ready: whoever asks asks again. */
export const opentracker: TrackerKind = {
  name: "opentracker",
  start: async (t, protocol, host, infoHash) => {
    const folder = mkdtempSync(join(tmpdir(), "opentracker-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    // It reads its list as somebody who may do nothing.
    chmodSync(folder, 0o755);
    const list = join(folder, "whitelist");
    writeFileSync(list, `${infoHash}\n`, { mode: 0o644 });
    const port = await freePort();
    const at = ["-i", host, "-p", String(port), "-P", String(port)];
    const program = new Program("opentracker", [...at, "-w", list]);
    t.after(() => program.kill());
    const answers = async (): Promise<boolean> => {
      if (program.missing) requireInstalled(OPENTRACKER);
      return fetch(`http://${host}:${port}/stats`).then(
        () => true,
        () => false,
      );
    };
    while (!(await answers())) await new Promise((resolve) => setTimeout(resolve, 20));
    return announceAt(protocol, host, port);
  },
};

export const npm: TrackerKind = {
  name: "bittorrent-tracker",
  start: async (t, protocol, host) => {
    const server = new Server({
      udp: protocol === "udp",
      http: protocol === "http",
      ws: false,
      stats: false,
      interval: 30_000,
    });
    server.on("warning", () => {});
    t.after(() => new Promise<void>((resolve) => server.close(resolve)));
    // It has a socket of each kind, whichever is asked.
    const hosts = { http: host, udp: "127.0.0.1", udp6: "::1" };
    await new Promise<void>((resolve) => server.listen(0, hosts, resolve));
    const face = protocol === "http" ? server.http : host.includes(":") ? server.udp6 : server.udp4;
    return announceAt(protocol, host, face?.address().port ?? 0);
  },
};
