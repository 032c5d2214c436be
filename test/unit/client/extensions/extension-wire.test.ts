// Extensions that a program brings, on whole sessions: connection.use() by the contract of bittorrent-protocol.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { type Connection, type PeerExtension, Session, type Torrent } from "../../../../src/index.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { closeWhole, makeShared, nowhere } from "../session/loopback.js";

/** Notes what it hears, and answers "ping" with "pong". */
class Echo implements PeerExtension {
  declare readonly name: string;
  readonly wire: Connection;
  readonly heard: unknown[] = [];
  onHeard: () => void = () => {};

  constructor(wire: Connection) {
    this.wire = wire;
  }

  onHandshake(infoHash: string, peerId: string, offers: object): void {
    this.#note(["handshake", infoHash, peerId, offers]);
  }

  onExtendedHandshake(handshake: Record<string, unknown>): void {
    this.#note(["extended", Object.keys(handshake["m"] as object).includes("sw_echo"), handshake["sw_mood"]]);
  }

  onMessage(message: Uint8Array): void {
    const text = Buffer.from(message).toString();
    if (text === "ping") this.wire.extended("sw_echo", Buffer.from("pong"));
    this.#note(["message", text]);
  }

  #note(what: unknown): void {
    this.heard.push(what);
    this.onHeard();
  }

  /** Resolves when it has heard a message. */
  async message(text: string): Promise<void> {
    const isHeard = (): boolean => this.heard.some((each) => (each as unknown[])[1] === text);
    while (!isHeard())
      await new Promise<void>((resolve) => {
        this.onHeard = resolve;
      });
  }
}
Object.defineProperty(Echo.prototype, "name", { value: "sw_echo" });

/** The first connection that a torrent opens, in its listener. */
function onConnection<Result>(torrent: Torrent, use: (connection: Connection) => Result): Promise<Result> {
  return new Promise((resolve) =>
    torrent.once("peerConnected", (_peer, connection) => resolve(use(connection))),
  );
}

/** Two sessions that both lack everything: their connection stays. */
async function pair(): Promise<{
  seeder: Session;
  seeding: Torrent;
  leecher: Session;
  leeching: Torrent;
  connect: () => void;
}> {
  const shared = await makeShared(100_000);
  const [seeder, leecher] = [new Session(), new Session()];
  const address = await seeder.listen({ host: "127.0.0.1", port: 0 });
  const seeding = await seeder.add(shared.metainfo, nowhere());
  const leeching = await leecher.add(shared.metainfo, nowhere());
  return { seeder, seeding, leecher, leeching, connect: () => leeching.addPeer(address) };
}

describe("Connection.use", { timeout: 60_000 }, () => {
  it("mounts an extension, tells it of both handshakes, and brings messages both ways", async () => {
    const { seeder, seeding, leecher, leeching, connect } = await pair();
    const [theirs, ours] = [
      onConnection(seeding, (connection) => connection.use(Echo)),
      onConnection(leeching, (connection) => {
        connection.extendedHandshake["sw_mood"] = 7;
        const echo = connection.use(Echo);
        assert.equal((connection as unknown as { sw_echo: Echo }).sw_echo, echo);
        const connected = echo.heard.length;
        assert.equal(connected, 0, "its methods are called later");
        return echo;
      }),
    ];
    connect();
    const [far, near] = await Promise.all([theirs, ours]);
    while (!near.heard.some((each) => (each as unknown[])[0] === "extended"))
      await new Promise<void>((resolve) => {
        near.onHeard = resolve;
      });
    near.wire.extended("sw_echo", Buffer.from("ping"));
    await near.message("pong");
    const [handshake] = far.heard as unknown[][];
    assert.deepEqual(handshake, [
      "handshake",
      Buffer.from(seeding.infoHash).toString("hex"),
      Buffer.from(sessionCoreOf(leecher).peerId).toString("hex"),
      { dht: false, fast: true, extended: true },
    ]);
    assert.deepEqual(far.heard.slice(1), [
      ["extended", true, 7],
      ["message", "ping"],
    ]);
    near.wire.extended("sw_echo", { a: 1 });
    await far.message("d1:ai1ee");
    near.wire.disconnect();
    near.wire.extended("sw_echo", Buffer.from("after the end"));
    await Promise.all([closeWhole(leecher), closeWhole(seeder)]);
  });

  it("leaves what an extension throws to its program, and the connection open", async () => {
    const { seeder, seeding, leecher, leeching, connect } = await pair();
    class Thrower {
      onHandshake(): void {
        throw new Error("thrown by onHandshake");
      }
      onMessage(): void {
        throw new Error("thrown by onMessage");
      }
    }
    Object.defineProperty(Thrower.prototype, "name", { value: "sw_echo" });
    const errors = await collectUncaught(async () => {
      const ours = onConnection(leeching, (connection) => connection.use(Echo));
      onConnection(seeding, (connection) => connection.use(Thrower));
      connect();
      const echo = await ours;
      while (!echo.heard.some((each) => (each as unknown[])[0] === "extended"))
        await new Promise<void>((resolve) => {
          echo.onHeard = resolve;
        });
      echo.wire.extended("sw_echo", Buffer.from("hello"));
      while (seeder.counters().receivedBytes < leecher.counters().sentBytes || !echo.wire.isOpen)
        await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(echo.wire.isOpen, true);
    });
    assert.deepEqual(errors.map(String), ["Error: thrown by onHandshake", "Error: thrown by onMessage"]);
    await Promise.all([closeWhole(leecher), closeWhole(seeder)]);
  });

  it("refuses what is no extension, and names that are taken", async () => {
    const { seeder, leecher, leeching, connect } = await pair();
    const named = (name: unknown) => {
      class Extension {}
      Object.defineProperty(Extension.prototype, "name", { value: name });
      return Extension;
    };
    const refused = onConnection(leeching, (connection) => {
      for (const name of [undefined, "", 7, "disconnect", "use", "toString", "x".repeat(81)])
        assert.throws(() => connection.use(named(name)), { code: "USAGE_OPTION" });
      assert.throws(() => connection.use(undefined as never), { code: "USAGE_OPTION" });
      connection.use(named("sw_twice"));
      connection.use(named("sw_twice"));
      assert.throws(() => connection.extended("sw_twice", ""), /does not have the extension sw_twice/);
      assert.throws(() => connection.extended(256, ""), { code: "USAGE_OPTION" });
      assert.throws(() => connection.extended(1, Buffer.alloc(32 * 1024)), { code: "USAGE_OPTION" });
      const useMany = (): void => {
        for (let count = 0; count < 300; count++) connection.use(named(`sw_${count}`));
      };
      assert.throws(useMany, { code: "USAGE_OPTION", message: /100 extensions/ });
    });
    connect();
    await refused;
    await Promise.all([closeWhole(leecher), closeWhole(seeder)]);
  });

  it("does nothing on a connection that is over", async () => {
    const { seeder, leecher, leeching, connect } = await pair();
    const connection = onConnection(leeching, (each) => each);
    connect();
    const ended = await connection;
    ended.disconnect();
    const echo = ended.use(Echo);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(echo.heard, []);
    assert.deepEqual(ended.peerExtendedHandshake, {});
    await Promise.all([closeWhole(leecher), closeWhole(seeder)]);
  });
});
