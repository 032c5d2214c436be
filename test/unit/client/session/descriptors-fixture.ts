// A process with few descriptors that seeds: its parent tells it what to do, a word a line, and it tells what came of it as JSON.
//
//   node descriptors-fixture.js TORRENT FOLDER
//
// It says {"port"} first. "fill": opens files until there is no descriptor left; "free": closes them; "look": says
// {"connections", "cpuMs", "warnings", "canOpen"}, where cpuMs was spent since the last look.

import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { readMetainfo, Session } from "../../../../src/index.js";
import { required } from "../../../support/required.js";

const [torrentFile, directory] = process.argv.slice(2) as [string, string];
const session = new Session({ handshakeTimeoutMs: 600_000 });
const warnings: string[] = [];
session.on("warning", (text) => warnings.push(text));
const { port } = await session.listen({ host: "127.0.0.1", port: 0 });
await session.add(await readMetainfo(torrentFile), { directory, readOnly: true });
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

const held: number[] = [];
let usage = process.cpuUsage();

function tryToOpen(): boolean {
  try {
    held.push(openSync("/dev/null", "r"));
    return true;
  } catch {
    return false;
  }
}

function look(): void {
  const canOpen = tryToOpen();
  if (canOpen) closeSync(required(held.pop(), "an entry of held"));
  const { user, system } = process.cpuUsage(usage);
  usage = process.cpuUsage();
  say({ connections: session.connectionCount, cpuMs: (user + system) / 1000, warnings, canOpen });
}

say({ port });
for await (const word of createInterface({ input: process.stdin })) {
  if (word === "fill") while (tryToOpen());
  if (word === "free") for (const fd of held.splice(0)) closeSync(fd);
  look();
}
await session.close();
