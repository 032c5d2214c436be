// A PostgreSQL of a test's own: Debian's server on a socket in a folder of its own, ended by its number. It refuses to be root's, so that
// root runs it as the user `postgres`.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NEEDED, requireInstalled } from "../../bench/rivals/installed.js";

/** Where Debian has servers of each version. */
const VERSIONS = "/usr/lib/postgresql";

export class PostgresServer {
  readonly #folder: string;
  readonly #binaries: string;
  #child: ChildProcess | undefined;

  private constructor(binaries: string) {
    this.#binaries = binaries;
    this.#folder = mkdtempSync(join(tmpdir(), "scatterwire-postgres-"));
    chmodSync(this.#folder, 0o777);
  }

  /** Resolves when it answers. */
  static async start(): Promise<PostgresServer> {
    requireInstalled(NEEDED.postgresql);
    const newest = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0] ?? "";
    const server = new PostgresServer(join(VERSIONS, newest, "bin"));
    const [command, ...args] = server.#command(
      "initdb",
      "--auth=trust",
      "--username=index",
      "--no-sync",
      "-D",
      server.#data,
    );
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8", cwd: "/" });
    if (status !== 0) throw new Error(`initdb ended with ${status}: ${stderr}`);
    await server.startAgain();
    return server;
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  /** Of a database of this server. */
  urlOf(database: string): string {
    return `postgres://index@localhost/${database}?host=${encodeURIComponent(this.#folder)}`;
  }

  /** Makes an empty database; its URL. */
  makeDatabase(name: string): string {
    const [command, ...args] = this.#command("createdb", "-h", this.#folder, "-U", "index", name);
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8", cwd: "/" });
    if (status !== 0) throw new Error(`createdb ended with ${status}: ${stderr}`);
    return this.urlOf(name);
  }

  /** The rows of an answer, columns parted by "|". */
  ask(database: string, sql: string): string[] {
    const [command, ...args] = this.#command(
      "psql",
      "-h",
      this.#folder,
      "-U",
      "index",
      "-At",
      "-c",
      sql,
      database,
    );
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", cwd: "/" });
    if (status !== 0) throw new Error(`psql ended with ${status}: ${stderr}`);
    return stdout.split("\n").filter((line) => line !== "");
  }

  async startAgain(): Promise<void> {
    const settings = [
      "listen_addresses=",
      `unix_socket_directories=${this.#folder}`,
      "fsync=off",
      "shared_buffers=32MB",
      "max_connections=60",
    ];
    const [command, ...args] = this.#command(
      "postgres",
      "-D",
      this.#data,
      ...settings.flatMap((each) => ["-c", each]),
    );
    const child = spawn(command, args, { stdio: "ignore", cwd: "/" });
    this.#child = child;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`postgres ended with ${child.exitCode}`);
      const [ready, ...readyArgs] = this.#command("pg_isready", "-q", "-h", this.#folder);
      if (
        existsSync(join(this.#folder, ".s.PGSQL.5432")) &&
        spawnSync(ready, readyArgs, { cwd: "/" }).status === 0
      )
        return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Ends at once: clients lose their connections. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "close");
    child.kill("SIGQUIT");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #command(program: string, ...args: string[]): [string, ...string[]] {
    const path = join(this.#binaries, program);
    return process.getuid?.() === 0
      ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", path, ...args]
      : [path, ...args];
  }
}
