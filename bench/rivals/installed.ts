// Which other programs the lab and the tests take, how to see whether one is there, and which Debian package brings it.

import { spawnSync } from "node:child_process";

/** Why something cannot be measured here, in words that name the package that brings it. */
export class MissingError extends Error {
  override name = "MissingError";
}

export interface Needed {
  readonly command: string;
  /** With these it says that it is there: by its exit status, 0. */
  readonly probe: readonly string[];
  readonly debianPackage: string;
}

/** The Python that Debian's packages install modules for. */
export const PYTHON = "/usr/bin/python3";

export const NEEDED = {
  transmission: {
    command: "transmission-daemon",
    probe: ["--version"],
    debianPackage: "transmission-daemon",
  },
  aria2: { command: "aria2c", probe: ["--version"], debianPackage: "aria2" },
  rtorrent: { command: "rtorrent", probe: ["-h"], debianPackage: "rtorrent" },
  libtorrentForPython: {
    command: PYTHON,
    probe: ["-c", "import libtorrent"],
    debianPackage: "python3-libtorrent",
  },
  /** To compile the harness against. */
  libtorrentLibrary: {
    command: "pkg-config",
    probe: ["--exists", "libtorrent-rasterbar"],
    debianPackage: "libtorrent-rasterbar-dev pkg-config",
  },
  /** It stands where only root looks for programs. */
  lighttpd: { command: "/usr/sbin/lighttpd", probe: ["-v"], debianPackage: "lighttpd" },
  redis: { command: "redis-server", probe: ["--version"], debianPackage: "redis-server" },
  /** Debian links its clients into the path, and the server's own programs not. */
  postgresql: {
    command: "/bin/sh",
    probe: ["-c", "ls /usr/lib/postgresql/*/bin/initdb"],
    debianPackage: "postgresql",
  },
  /** Not only a program: the machine has to allow a network of one's own. */
  networkNamespace: {
    command: "unshare",
    probe: ["--map-root-user", "--net", "--pid", "--fork", "ip", "link", "set", "lo", "up"],
    debianPackage: "util-linux iproute2",
  },
  /** A router; it stands where only root looks for programs. */
  miniupnpd: {
    command: "/usr/sbin/miniupnpd",
    probe: ["--version"],
    debianPackage: "miniupnpd-nftables nftables",
  },
  strace: { command: "strace", probe: ["-V"], debianPackage: "strace" },
} as const satisfies Readonly<Record<string, Needed>>;

export function isInstalled({ command, probe }: Needed): boolean {
  const { error, status } = spawnSync(command, probe, { stdio: "ignore" });
  return error === undefined && status === 0;
}

/** Throws MissingError. */
export function requireInstalled(needed: Needed): void {
  if (isInstalled(needed)) return;
  const { command, debianPackage } = needed;
  throw new MissingError(
    `${command} is missing, or what it needs: install it with "apt-get install ${debianPackage}"`,
  );
}
