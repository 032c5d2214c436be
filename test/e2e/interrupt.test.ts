// A download that dies at any moment goes on where it was: nothing verified is lost, nothing false is claimed, and little
// is fetched twice. SCATTERWIRE_KILL_ROUNDS sets how often it is killed (default 5), SEED the moments. A download that ends
// before it is killed is compared and begun anew, and its round does not count.

import assert from "node:assert/strict";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo, readMetainfo, Session } from "../../src/index.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { Program } from "../support/program.js";

const MIB = 1024 * 1024;
const LENGTH = 96 * MIB + 4321;
const PIECE_LENGTH = 256 * 1024;
const BLOCK_BYTES = 16 * 1024;
const ROUNDS = Number(process.env["SCATTERWIRE_KILL_ROUNDS"] ?? 5);
const SEED = Number(process.env["SEED"] ?? Date.now() % 100_000);
/** What may be under way when a process dies: its whole pool, and pieces begun. */
const IN_FLIGHT_BYTES = 40 * MIB;

describe(`a download that is killed (SEED=${SEED})`, { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.torrent");
  let seeder: Program;
  let peer: string;

  before(async () => {
    writeFileSync(join(folder, "data.bin"), bytesOf(7, LENGTH));
    writeFileSync(torrent, await createTorrentFile(join(folder, "data.bin"), { pieceLength: PIECE_LENGTH }));
    seeder = Program.cli("seed", torrent, folder, "--listen", "127.0.0.1:0", "--no-check", "--json");
    const { host, port } = await seeder.line("event");
    peer = `${host}:${port}`;
  });
  after(() => seeder.stop("SIGINT"));

  const start = (output: string): Program =>
    Program.cli("download", torrent, "-o", output, "--peer", peer, "--timeout", "60", "--json");

  /** Pieces that a download vouches for, by opening it as a torrent that connects to nobody. */
  const verifiedBytes = async (output: string): Promise<number> => {
    await using session = new Session();
    const opened = await session.add(await readMetainfo(torrent), { directory: output });
    return opened.progress().bytesVerified;
  };

  it(`kill -9 at ${ROUNDS} moments, then resumes to the right bytes`, async (context) => {
    const output = join(folder, "killed");
    let random = SEED;
    const dice = (): number => {
      random = (1103515245 * random + 12345) % 2147483648;
      return random / 2147483648;
    };
    let verifiedBefore = 0;
    let resumed = 0;
    for (let round = 0; round < ROUNDS; ) {
      const program = start(output);
      await new Promise((resolve) => setTimeout(resolve, 120 + 250 * dice()));
      await program.stop("SIGKILL");
      if (program.child.signalCode !== "SIGKILL") {
        assert.equal(program.child.exitCode, 0, program.errors);
        assert.ok(Number(program.lines.at(-1)?.["bytes"]) <= LENGTH - verifiedBefore + BLOCK_BYTES);
        assert.equal(difference(join(folder, "data.bin"), join(output, "data.bin")), undefined);
        rmSync(output, { recursive: true });
        verifiedBefore = 0;
        continue;
      }
      round++;
      if (verifiedBefore > 0) resumed++;
      const verified = await verifiedBytes(output);
      assert.ok(
        verified >= verifiedBefore,
        `round ${round}: ${verified} bytes are vouched for after ${verifiedBefore}`,
      );
      verifiedBefore = verified;
    }
    context.diagnostic(
      `${ROUNDS} rounds were killed, ${resumed} of them in a download that had been killed before`,
    );
    const { status, last, errors } = await start(output).result();
    assert.equal(status, 0, errors);
    assert.ok(
      Number(last["bytes"]) <= LENGTH - verifiedBefore + BLOCK_BYTES,
      "nothing verified is fetched again",
    );
    assert.equal(difference(join(folder, "data.bin"), join(output, "data.bin")), undefined);
  });

  it("Ctrl-C ends with 130, and what is fetched again is bounded by what was in flight", async () => {
    const output = join(folder, "interrupted");
    const first = start(output);
    // It has begun to store, and is far from its end.
    while (bytesStored(join(output, "data.bin")) === 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await first.stop("SIGINT");
    const { status, errors } = await first.result();
    assert.equal(status, 130, errors);
    const verified = await verifiedBytes(output);
    const { last } = await start(output).result();
    assert.ok(Number(last["bytes"]) <= LENGTH - verified + IN_FLIGHT_BYTES);
    assert.equal(difference(join(folder, "data.bin"), join(output, "data.bin")), undefined);
  });

  it("checks everything when resume data is missing or garbage", async () => {
    const output = join(folder, "garbled");
    assert.equal((await start(output).result()).status, 0);
    const { infoHashHex } = parseMetainfo(
      await createTorrentFile(join(folder, "data.bin"), { pieceLength: PIECE_LENGTH }),
    );
    writeFileSync(join(output, ".scatterwire", `${infoHashHex}.resume`), "garbage");
    const { status, last } = await start(output).result();
    assert.equal(status, 0);
    assert.equal(last["bytes"], 0);
  });

  it("refuses a second process on the same download", async () => {
    const output = join(folder, "shared");
    await using session = new Session();
    await session.add(await readMetainfo(torrent), { directory: output });
    const { status, errors } = await start(output).result();
    assert.equal(status, 1);
    assert.match(errors, /^scatterwire: another process .* is using this torrent in .*\n$/);
  });
});

/** Bytes that a file occupies; 0 while there is none. */
function bytesStored(path: string): number {
  return 512 * (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0);
}
