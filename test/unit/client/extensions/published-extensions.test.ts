// The published ut_metadata, ut_pex and lt_donthave, as the npm registry has them, on our connections: what each does over a wire, both ways.
// At the other end is the same package, on a connection of ours and on bittorrent-protocol, the wire that they were written for.
//
// One file, because all three stand on the same two ends.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type EventEmitter, once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import bencode from "bencode";
import Wire from "bittorrent-protocol";
import ltDontHave from "lt_donthave";
import utMetadata from "ut_metadata";
import utPex from "ut_pex";
import { type Metainfo, PeerConnection, parseMetainfo } from "../../../../src/index.js";
import { bytesOf } from "../../../support/data.js";
import { duplexPair } from "../../../support/duplex-pair.js";

const TIMEOUT = { timeout: 60_000 };
const PIECE_LENGTH = 16_384;
const PIECE_30 = bytesOf(30, PIECE_LENGTH);
type ExtensionClass = new (wire: never) => object;

/** A torrent file of so many pieces, whose bytes are nowhere but those of piece 30. */
function torrentOf(pieces: number): Uint8Array {
  const digests = bytesOf(7, 20 * pieces);
  digests.set(createHash("sha1").update(PIECE_30).digest(), 20 * 30);
  const info = { length: pieces * PIECE_LENGTH, name: "data", "piece length": PIECE_LENGTH, pieces: digests };
  return bencode.encode({ announce: "http://127.0.0.1:9/announce", info });
}

const SMALL = torrentOf(40);
/** 40,000 bytes of digests: three pieces of metadata. */
const LARGE = torrentOf(2000);
const infoOf = (torrent: Uint8Array): Metainfo => parseMetainfo(torrent);

/** One end of a connection, whoever wrote it. */
interface End {
  /** The extension that was made of a class that it was given. */
  of<Instance extends object>(Extension: new (wire: never) => Instance): Instance;
  /** Tells the other side of a piece more. */
  announce(piece: number): void;
  /** Resolves when the connection is over. */
  readonly ended: Promise<unknown>;
}

interface EndOptions {
  readonly torrent: Uint8Array;
  readonly extensions: readonly ExtensionClass[];
  /** Answers requests when it is called with one, and what it returns has resolved. */
  readonly asked?: () => Promise<void>;
}

const atOnce = (): Promise<void> => Promise.resolve();

type FarKind = "our connection" | "bittorrent-protocol";
const FAR_KINDS: readonly FarKind[] = ["our connection", "bittorrent-protocol"];

/** What stands at `wire[name]`. */
function mounted<Instance>(wire: object, Extension: new (wire: never) => Instance): Instance {
  const { name } = Extension.prototype as { name: string };
  return (wire as Readonly<Record<string, Instance>>)[name] ?? assert.fail(`there is no ${name}`);
}

/** The end of ours that tests look at, and the other one. */
async function connect(
  t: TestContext,
  kind: FarKind,
  near: EndOptions,
  far: Omit<EndOptions, "torrent">,
): Promise<{ near: PeerConnection; far: End }> {
  const [one, other] = duplexPair();
  const metainfo = infoOf(near.torrent);
  const farEnd =
    kind === "our connection"
      ? ours(t, other, { ...far, torrent: near.torrent })
      : theirs(t, other, metainfo, far);
  const read = (): never => assert.fail("nobody wants anything of it");
  const connection = PeerConnection.overStream(one, { metainfo, read });
  t.after(() => connection.close());
  const [there] = await Promise.all([farEnd, connection.opened]);
  for (const Extension of near.extensions) connection.use(Extension);
  return { near: connection, far: there };
}

async function ours(
  t: TestContext,
  stream: ReturnType<typeof duplexPair>[number],
  { torrent, extensions, asked = atOnce }: EndOptions,
): Promise<End> {
  const read = (_piece: number, begin: number, length: number): Promise<Uint8Array> =>
    asked().then(() => PIECE_30.subarray(begin, begin + length));
  const connection = PeerConnection.overStream(stream, { metainfo: infoOf(torrent), incoming: true, read });
  t.after(() => connection.close());
  await connection.opened;
  for (const Extension of extensions) connection.use(Extension);
  return {
    of: (Extension) => mounted(connection, Extension),
    announce: (piece) => connection.announce(piece),
    ended: connection.closed,
  };
}

async function theirs(
  t: TestContext,
  stream: ReturnType<typeof duplexPair>[number],
  { infoHash }: Metainfo,
  { extensions, asked = atOnce }: Omit<EndOptions, "torrent">,
): Promise<End> {
  const wire = new Wire();
  stream.pipe(wire).pipe(stream);
  for (const each of [stream, wire]) each.on("error", () => {});
  t.after(() => wire.destroy());
  for (const Extension of extensions) wire.use(Extension);
  const ended = once(wire, "close");
  wire.on("handshake", () => wire.handshake(infoHash, bytesOf(4, 20)));
  wire.on("interested", () => wire.unchoke());
  wire.on(
    "request",
    (_piece: number, begin: number, length: number, answer: (error: null, bytes: Uint8Array) => void) =>
      void asked().then(() => answer(null, PIECE_30.subarray(begin, begin + length))),
  );
  await once(wire, "handshake");
  return {
    of: (Extension) => mounted(wire, Extension),
    announce: (piece) => wire.have(piece),
    ended,
  };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let turns = 0; !condition() && turns < 5000; turns++)
    await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(condition(), what);
}

/** A class of an extension, and what it was told: it hears all of it as well. */
interface Noted<Instance> {
  readonly Extension: new (wire: never) => Instance;
  readonly messages: Uint8Array[];
  /** The size of the metadata in each, or 0. */
  readonly handshakes: number[];
  /** What it warned of. */
  readonly warnings: string[];
  onMessage: () => void;
}

function noting<Instance extends EventEmitter>(Extension: new (wire: never) => Instance): Noted<Instance> {
  const messages: Uint8Array[] = [];
  const handshakes: number[] = [];
  const warnings: string[] = [];
  const parent = Extension.prototype as {
    onMessage(bytes: Uint8Array): void;
    onExtendedHandshake(handshake: { metadata_size?: number }): void;
  };
  class Noting extends (Extension as new (wire: never) => EventEmitter) {
    constructor(wire: never) {
      super(wire);
      this.on("warning", ({ message }: Error) => warnings.push(message));
    }
    onMessage(bytes: Uint8Array): void {
      messages.push(bytes);
      noted.onMessage();
      parent.onMessage.call(this, bytes);
    }
    onExtendedHandshake(handshake: { metadata_size?: number }): void {
      handshakes.push(handshake.metadata_size ?? 0);
      parent.onExtendedHandshake.call(this, handshake);
    }
  }
  const noted: Noted<Instance> = {
    Extension: Noting as unknown as new (wire: never) => Instance,
    messages,
    handshakes,
    warnings,
    onMessage: () => {},
  };
  return noted;
}

/** Both ends have heard that the other one has the extension. */
async function acquainted(...ends: readonly Noted<object>[]): Promise<void> {
  await until(() => ends.every(({ handshakes }) => handshakes.length > 0), "both know of each other");
}

const fails = (): never => assert.fail("metadata came");

for (const kind of FAR_KINDS) {
  describe(`ut_metadata, with ${kind} at the other end`, TIMEOUT, () => {
    it("stands at the connection, with what it was made with", async (t) => {
      const [Empty, Full] = [utMetadata(), utMetadata(SMALL)];
      const { near, far } = await connect(
        t,
        kind,
        { torrent: SMALL, extensions: [Full] },
        { extensions: [Empty] },
      );
      const { info } = infoOf(SMALL);
      assert.deepEqual(Buffer.from(mounted(near, Full).metadata ?? []), Buffer.from(info));
      assert.equal(far.of(Empty).metadata, undefined);
    });

    for (const [size, torrent, pieces] of [
      ["one piece", SMALL, 1],
      ["three pieces", LARGE, 3],
    ] as const) {
      it(`has metadata of ${size} from the other end`, async (t) => {
        const { Extension, messages } = noting(utMetadata());
        const { near } = await connect(
          t,
          kind,
          { torrent, extensions: [Extension] },
          { extensions: [utMetadata(torrent)] },
        );
        const fetching = mounted(near, Extension);
        fetching.on("warning", (error) => assert.fail(String(error)));
        const arrived = once(fetching, "metadata");
        fetching.fetch();
        const [bytes] = (await arrived) as [Uint8Array];
        assert.deepEqual(Buffer.from(infoOf(bytes).info), Buffer.from(infoOf(torrent).info));
        assert.equal(messages.length, pieces);
      });

      it(`gives metadata of ${size} to the other end`, async (t) => {
        const Empty = utMetadata();
        const { Extension, messages } = noting(utMetadata(torrent));
        const { far } = await connect(t, kind, { torrent, extensions: [Extension] }, { extensions: [Empty] });
        const fetching = far.of(Empty);
        const arrived = once(fetching, "metadata");
        fetching.fetch();
        const [bytes] = (await arrived) as [Uint8Array];
        assert.deepEqual(Buffer.from(infoOf(bytes).info), Buffer.from(infoOf(torrent).info));
        assert.equal(messages.length, pieces);
      });
    }

    it("says that the other end has none, and asks it for nothing", async (t) => {
      const [noted, other] = [noting(utMetadata()), noting(utMetadata())];
      const { near } = await connect(
        t,
        kind,
        { torrent: SMALL, extensions: [noted.Extension] },
        { extensions: [other.Extension] },
      );
      const fetching = mounted(near, noted.Extension);
      fetching.on("metadata", fails);
      fetching.fetch();
      await acquainted(noted, other);
      assert.deepEqual([noted.warnings, other.messages], [["Peer does not have metadata"], []]);
    });

    it("is told nothing where the other end does not have it", async (t) => {
      const { Extension, handshakes, messages } = noting(utMetadata());
      const Other = noting(ltDontHave());
      const { near } = await connect(
        t,
        kind,
        { torrent: SMALL, extensions: [Extension, Other.Extension] },
        { extensions: [ltDontHave()] },
      );
      mounted(near, Extension).fetch();
      await until(() => Other.handshakes.length > 0, "the handshake came");
      assert.deepEqual([handshakes, messages], [[], []]);
      assert.throws(() => near.extended("ut_metadata", { msg_type: 0, piece: 0 }), { code: "USAGE_STATE" });
      assert.equal(near.isOpen, true);
    });

    it("tells the other end of metadata that came later", async (t) => {
      const [Empty, Later] = [utMetadata(), utMetadata()];
      const { near, far } = await connect(
        t,
        kind,
        { torrent: SMALL, extensions: [] },
        { extensions: [Empty] },
      );
      const fetching = far.of(Empty);
      const arrived = once(fetching, "metadata");
      fetching.fetch();
      const later = near.use(Later);
      assert.equal(await later.setMetadata(SMALL), true);
      const [bytes] = (await arrived) as [Uint8Array];
      assert.deepEqual(Buffer.from(infoOf(bytes).info), Buffer.from(infoOf(SMALL).info));
    });

    it("takes nothing that has another hash, and says so in the end", async (t) => {
      const wrong = Uint8Array.from(SMALL);
      const at = wrong.length - 10;
      wrong[at] = (wrong[at] ?? 0) ^ 1;
      const noted = noting(utMetadata());
      const { near } = await connect(
        t,
        kind,
        { torrent: SMALL, extensions: [noted.Extension] },
        { extensions: [utMetadata(wrong)] },
      );
      const fetching = mounted(near, noted.Extension);
      fetching.on("metadata", fails);
      fetching.fetch();
      await until(() => noted.warnings.length > 0, "it has given up");
      assert.deepEqual(noted.warnings, ["Peer sent invalid metadata"]);
      assert.equal(noted.messages.length, 2, "it had another chance");
    });

    it("takes nothing more once it was told to stop", async (t) => {
      const noted = noting(utMetadata());
      const { near } = await connect(
        t,
        kind,
        { torrent: LARGE, extensions: [noted.Extension] },
        { extensions: [utMetadata(LARGE)] },
      );
      const fetching = mounted(near, noted.Extension);
      fetching.on("metadata", fails);
      noted.onMessage = () => fetching.cancel();
      fetching.fetch();
      await until(() => noted.messages.length === 3, "three parts come, unheeded");
      await new Promise((resolve) => setImmediate(resolve));
    });
  });

  describe(`ut_pex, with ${kind} at the other end`, TIMEOUT, () => {
    const flags = {
      ...{ prefersEncryption: false, isSender: true, supportsUtp: true },
      ...{ supportsUtHolepunch: false, isReachable: false },
    };
    const none = { ...flags, isSender: false, supportsUtp: false };
    interface Heard {
      readonly peers: [string, object][];
      readonly dropped: string[];
    }
    /** Two ends; what the second hears of the first, whose interval passes when the test says so. */
    async function exchange(t: TestContext, isToNear: boolean) {
      const [ofUs, ofThem] = [noting(utPex()), noting(utPex())];
      const { near, far } = await connect(
        t,
        kind,
        { torrent: SMALL, extensions: [ofUs.Extension] },
        { extensions: [ofThem.Extension] },
      );
      await acquainted(ofUs, ofThem);
      const [ofNear, ofFar] = [mounted(near, ofUs.Extension), far.of(ofThem.Extension)];
      const [teller, listener] = isToNear ? [ofFar, ofNear] : [ofNear, ofFar];
      const heard: Heard = { peers: [], dropped: [] };
      listener.on("peer", (address: string, said: object) => heard.peers.push([address, said]));
      listener.on("dropped", (address: string) => heard.dropped.push(address));
      return { near, far, teller, listener, heard };
    }

    for (const isToNear of [true, false])
      it(`tells ${isToNear ? "us" : "the other end"} of peers that come and go, of IPv4 and IPv6, with flags`, async (t) => {
        const { teller, heard } = await exchange(t, isToNear);
        t.mock.timers.enable({ apis: ["setInterval", "Date"], now: Date.now() });
        teller.addPeer("127.0.0.1:6889", flags);
        teller.addPeer("127.0.0.2:6890");
        teller.addPeer6("[::1]:6889", flags);
        teller.addPeer("no address");
        teller.start();
        t.mock.timers.tick(65_000);
        await until(() => heard.peers.length === 3, "three peers are told of");
        assert.deepEqual(heard.peers, [
          ["127.0.0.1:6889", flags],
          ["127.0.0.2:6890", none],
          ["[::1]:6889", flags],
        ]);
        teller.dropPeer("127.0.0.1:6889");
        teller.dropPeer6("[::1]:6889");
        t.mock.timers.tick(65_000);
        await until(() => heard.dropped.length === 2, "two are dropped");
        assert.deepEqual(heard.dropped, ["127.0.0.1:6889", "[::1]:6889"]);
        assert.equal(heard.peers.length, 3);
      });

    it("ends the connection with who tells it too often", async (t) => {
      const { near, far, teller, listener } = await exchange(t, true);
      t.mock.timers.enable({ apis: ["setInterval"] });
      const warned = once(listener, "warning");
      teller.addPeer("127.0.0.1:6889");
      teller.start();
      t.mock.timers.tick(130_000);
      t.mock.timers.reset();
      const [warning] = (await warned) as [Error];
      assert.match(warning.message, /too frequently/);
      await Promise.all([near.closed, far.ended]);
      assert.equal(near.isOpen, false);
    });
  });

  describe(`lt_donthave, with ${kind} at the other end`, TIMEOUT, () => {
    /** Two ends that know of each other, the other one with piece 30. */
    async function withPiece(t: TestContext, asked = atOnce) {
      const [ofUs, ofThem] = [noting(ltDontHave()), noting(ltDontHave())];
      const { near, far } = await connect(
        t,
        kind,
        { torrent: SMALL, extensions: [ofUs.Extension] },
        { extensions: [ofThem.Extension], asked },
      );
      await acquainted(ofUs, ofThem);
      far.announce(30);
      await until(() => near.peerHas(30), "it is announced");
      return {
        near,
        far,
        heard: ofUs.messages,
        ofNear: mounted(near, ofUs.Extension),
        ofFar: far.of(ofThem.Extension),
      };
    }

    it("takes back a piece, which the connection then knows", async (t) => {
      const { near, far, ofNear, ofFar } = await withPiece(t);
      far.announce(31);
      await until(() => near.peerHas(31), "both are announced");
      const heard = once(ofNear, "donthave");
      ofFar.donthave(30);
      assert.deepEqual(await heard, [30]);
      assert.deepEqual([near.peerHas(30), near.peerHas(31), near.peerPieceCount], [false, true, 1]);
    });

    it("heeds nothing of pieces that the peer never had, or that do not exist", async (t) => {
      const { near, heard, ofNear, ofFar } = await withPiece(t);
      ofNear.on("donthave", () => assert.fail("it never had it"));
      for (const piece of [29, 40, 2 ** 32 - 1]) ofFar.donthave(piece);
      await until(() => heard.length === 3, "all came");
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual([near.peerHas(30), near.isOpen], [true, true]);
    });

    it("tells the other end that a piece is gone", async (t) => {
      const { near, ofNear, ofFar } = await withPiece(t);
      near.announce(20);
      const heard = once(ofFar, "donthave");
      ofNear.donthave(20);
      assert.deepEqual(await heard, [20]);
    });

    it("gives back what the peer was asked for, which comes when it has it again", async (t) => {
      let [asks, serve] = [0, (): void => {}];
      const served = new Promise<void>((resolve) => {
        serve = resolve;
      });
      const asked = (): Promise<void> => {
        asks++;
        return served;
      };
      const { near, far, ofNear, ofFar } = await withPiece(t, asked);
      const piece = near.readPiece(30);
      await until(() => asks > 0, "it is asked for");
      assert.deepEqual(near.requests, [{ piece: 30, offset: 0, length: PIECE_LENGTH }]);
      const heard = once(ofNear, "donthave");
      ofFar.donthave(30);
      await heard;
      assert.deepEqual(near.requests, []);
      far.announce(30);
      serve();
      assert.equal(Buffer.compare(await piece, PIECE_30), 0);
    });
  });
}
