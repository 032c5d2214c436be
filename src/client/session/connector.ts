// The connections of a session: made, accepted, closed when nobody answers, and told when there is no descriptor for one more.
//
// One file, because whoever is dialled, accepted or brought by the program takes the same room and the same descriptors.
//
// Always: each connection is in the table from its beginning to its end; torrents that have addresses to connect to get their turns one
// after the other, and no connection is begun while there is no room, or no descriptor.

import { isIP, type Socket } from "node:net";
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import { describeErrno, PeerError, UsageError } from "../../base/errors.js";
import type { Timeline } from "../../base/metrics/timeline.js";
import type { TraceSink } from "../../base/metrics/trace.js";
import { reasonAgainstSource, type SourceFor } from "../../base/network-address.js";
import type { Reactor, TurnHook } from "../../native/reactor.js";
import type { Memory } from "../memory/memory.js";
import type { PeerAddress } from "../options.js";
import { PeerConnection } from "../peer/peer-connection.js";
import type { Clock, PeerKeeper, PeerSettings } from "../peer/peer-options.js";
import type { Swarm, SwarmDirectory } from "../peer/swarm.js";
import type { ReceivePlan } from "../receive/receive-plan.js";
import type { Recorder } from "../recording/recorder.js";
import { RecordingStream } from "../recording/recording-stream.js";
import type { ByteStream } from "../stream/byte-stream.js";
import { DuplexStream } from "../stream/duplex-stream.js";
import { ReactorRounds } from "../stream/rounds.js";
import { StreamPump } from "../stream/stream-pump.js";
import { TcpStream } from "../stream/tcp-stream.js";
import { TracedStream } from "../stream/traced-stream.js";
import { UnconnectedTransport } from "../stream/unconnected-transport.js";
import type { Dialer } from "../torrent/engine-room.js";
import type { StreamParts } from "../torrent/peer-source.js";
import { ArrivalTurns } from "./arrival-turns.js";
import { ConnectionTable } from "./connection-table.js";
import type { Encryption } from "./encryption.js";
import type { Gate } from "./gate.js";
import { isOutOfDescriptors, Listener, type ListenerHost } from "./listener.js";
import type { SessionSettings } from "./settings.js";

const LISTEN_BACKLOG = 512;
/** Sockets of those that come again, at the most, which wait for their turns. */
const WAITING_MAX = 1024;
/** While others wait for their turn, an address is given so long to answer: time for a second and a third packet. */
const CROWDED_CONNECT_MS = 3000;
/** What is wrong for long is said so often. */
const WARNING_MS = 60_000;

/** The session, as far as its connections go. */
export interface ConnectorHost {
  readonly reactor: Reactor;
  readonly memory: Memory;
  readonly plan: ReceivePlan;
  readonly clock: Clock;
  readonly settings: SessionSettings;
  readonly encryption: Encryption;
  /** Whom the program lets in. */
  readonly gate: Pick<Gate, "reasonAgainst">;
  readonly descriptors: DescriptorBudget;
  readonly directory: SwarmDirectory;
  /** Where connections are made from. */
  readonly sourceFor: SourceFor;
  readonly trace: TraceSink | undefined;
  /** Notes what goes over connections. */
  readonly recorder: Recorder | undefined;
  /** Notes when it went. */
  readonly timeline: Timeline | undefined;
  /** No connection is begun any more. */
  readonly isClosed: boolean;
  /** How incoming connections are received from, until their torrent is known. */
  incomingSettings(): PeerSettings;
  /** Somebody connected who is not let in. */
  strangerRefused(address: PeerAddress, error: PeerError): void;
  /** A connection that belonged to no torrent ended. */
  strangerClosed(peer: PeerConnection, error: PeerError | undefined): void;
  /** There is something that was not, or nothing any more that was. */
  heldChanged(): void;
  warn(text: string): void;
}

export class Connector {
  readonly table: ConnectionTable;
  readonly listeners: Listener[] = [];
  readonly #encryption: Encryption;
  readonly #host: ConnectorHost;
  /** Torrents that have addresses to connect to, in the order of their turns. */
  readonly #dialers = new Set<Dialer>();
  /** Connections that are recorded, with their numbers there. */
  readonly #recordedIds = new Map<PeerConnection, number>();
  readonly #arrivals: ArrivalTurns;
  /** Of all connections: what each has to itself is memory for each. */
  readonly #keeper: PeerKeeper = {
    peerOpened: (peer) => {
      if (this.table.opened(peer)) this.#dial();
    },
    peerClosed: (peer, error) => this.#peerClosed(peer, error),
  };
  /** For streams of the program's. */
  readonly #rounds: ReactorRounds;
  #streams = 0;
  #isDialing = false;
  /** There was no descriptor for a connection: none is begun before the next tick. */
  #dialingPaused = false;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #noSourceAtMs = Number.NEGATIVE_INFINITY;

  constructor(host: ConnectorHost) {
    const { maxPeers, maxPeersPerAddress, maxConnecting, limitLoopback } = host.settings;
    this.#host = host;
    this.#encryption = host.encryption;
    this.#rounds = new ReactorRounds((hook) => host.reactor.atTurnEnd(hook));
    this.table = new ConnectionTable(
      { max: maxPeers, maxPerAddress: maxPeersPerAddress, limitsLoopback: limitLoopback, maxConnecting },
      host.descriptors,
    );
    const { reactor, descriptors } = host;
    this.#arrivals = new ArrivalTurns(
      {
        ground: reactor.ground,
        descriptors,
        atTurnEnd: (hook) => reactor.atTurnEnd(hook),
        enters: (fd, remote) => this.#returned(fd, remote),
        close: (fd) => reactor.engine.closeSocket(fd),
      },
      Math.min(WAITING_MAX, this.table.strangersMax),
    );
  }

  /** Accepts connections. Throws UsageError `LISTEN_FAILED`. Returns where: port 0 has become a port. */
  listen(address: PeerAddress): PeerAddress {
    const { reactor, descriptors } = this.#host;
    const { engine } = reactor;
    const fd = engine.listen(address.host, address.port, LISTEN_BACKLOG);
    const failed = (errno: number): never => {
      throw new UsageError(
        "LISTEN_FAILED",
        `cannot listen at ${address.host}:${address.port}: ${describeErrno(errno)}`,
      );
    };
    if (fd < 0) return failed(fd);
    // Set before connections are made: the window scale is agreed in their first packets.
    this.#setBufferSizes(fd);
    const bound = engine.localAddress(fd);
    if (typeof bound === "number") {
      engine.closeSocket(fd);
      return failed(bound);
    }
    this.listeners.push(new Listener(reactor, fd, descriptors, this.#listenerHost()));
    return { host: bound.host, port: bound.port };
  }

  /** Begins a connection, encrypted or not as far as there is a choice. Undefined if there is no descriptor for it now. */
  connect(
    host: string,
    port: number,
    swarm: Swarm,
    settings: PeerSettings,
    encrypts: boolean,
  ): PeerConnection | undefined {
    const { engine, binding } = this.#host.reactor;
    const source = this.#host.sourceFor(host);
    const refusal = isIP(host) === 0 ? "not a numeric address" : reasonAgainstSource(source, host);
    const fd = refusal === undefined ? engine.connect(host, port, source) : binding.EINVAL;
    if (isOutOfDescriptors(fd, binding)) {
      this.#outOfDescriptors(fd);
      return undefined;
    }
    if (fd >= 0) this.#setBufferSizes(fd);
    const { infoHash } = swarm;
    const recorded = fd < 0 ? 0 : this.#beginRecording({ host, port, incoming: false }, settings, infoHash);
    const encrypted = (stream: TcpStream): ByteStream =>
      this.#encryption.outgoing(stream, host, swarm.infoHash, encrypts);
    const transport =
      fd < 0
        ? new UnconnectedTransport()
        : this.#pump(
            this.#watched(encrypted(new TcpStream(this.#host.reactor, fd)), recorded, { host, port }),
            true,
          );
    const peer = this.#makePeer(host, port, false, transport, settings, swarm);
    this.#noteRecorded(peer, recorded);
    if (transport instanceof StreamPump) transport.start(peer);
    else {
      // Told later, as every other failure to connect: the caller has not yet noted what it asked for.
      const reason = refusal ?? describeErrno(fd);
      const from = source === undefined || refusal !== undefined ? "" : ` from ${source}`;
      if (from !== "" && fd === -constants.errno.EADDRNOTAVAIL) this.#noSuchSource(from);
      queueMicrotask(() =>
        peer.close(
          new PeerError("PEER_CONNECT_FAILED", `cannot connect to ${host}:${port}${from}: ${reason}`),
        ),
      );
    }
    return peer;
  }

  /** The same over a stream that is made from parts of the session. Undefined if there is no room for a connection now. */
  connectOver(
    host: string,
    make: (parts: StreamParts) => ByteStream,
    swarm: Swarm,
    settings: PeerSettings,
  ): PeerConnection | undefined {
    if (this.#host.isClosed || !this.table.mayConnect) return undefined;
    const { reactor, memory, plan } = this.#host;
    const eagain = reactor.binding.EAGAIN;
    const atTurnEnd = (hook: TurnHook): void => reactor.atTurnEnd(hook);
    const about = { host, port: 0, incoming: false };
    const recorded = this.#beginRecording(about, settings, swarm.infoHash);
    const stream = this.#watched(make({ memory, plan: plan.entries, atTurnEnd, eagain }), recorded, about);
    const transport = new StreamPump({ turns: reactor, memory, stream, connecting: true, eagain });
    const peer = this.#makePeer(host, 0, false, transport, settings, swarm);
    this.#noteRecorded(peer, recorded);
    transport.start(peer);
    return peer;
  }

  /** Speaks first over a stream of the program's; or destroys it, and tells `refused` why. */
  connectStream(
    duplex: Duplex,
    swarm: Swarm,
    settings: PeerSettings,
    refused: (address: PeerAddress, error: PeerError) => void,
  ): PeerConnection | undefined {
    const remote = this.#addressOf(duplex);
    const hasRoom = (): boolean => !this.#host.isClosed && this.table.mayTake(this.#host.clock.nowMs);
    const error = this.#errorAgainst(remote.host, hasRoom);
    if (error !== undefined) {
      letGoOf(duplex);
      refused(remote, error);
      return undefined;
    }
    const { infoHash } = swarm;
    const recorded = this.#beginRecording({ ...remote, incoming: false }, settings, infoHash);
    const stream = this.#encryption.outgoing(this.#streamOver(duplex), remote.host, infoHash, false);
    const transport = this.#pump(this.#watched(stream, recorded, remote), true);
    const peer = this.#makePeer(remote.host, remote.port, false, transport, settings, swarm, true);
    this.#noteRecorded(peer, recorded);
    transport.start(peer);
    return peer;
  }

  /** The other side speaks first, over a stream of the program's. Who is not let in finds it destroyed. */
  acceptStream(duplex: Duplex): void {
    const remote = this.#addressOf(duplex);
    const hasRoom = (): boolean => this.table.mayAccept(remote.host, this.#host.clock.nowMs);
    const error = this.#errorAgainst(remote.host, hasRoom);
    if (error !== undefined) {
      letGoOf(duplex);
      this.#host.strangerRefused(remote, error);
      return;
    }
    const settings = this.#host.incomingSettings();
    const recorded = this.#beginRecording({ ...remote, incoming: true }, settings, undefined);
    const stream = this.#encryption.incoming(this.#streamOver(duplex), remote.host);
    const transport = this.#pump(this.#watched(stream, recorded, remote), false);
    const peer = this.#makePeer(remote.host, remote.port, true, transport, settings, undefined, true);
    this.#noteRecorded(peer, recorded);
    transport.start(peer);
  }

  #errorAgainst(host: string, hasRoom: () => boolean): PeerError | undefined {
    const reason = this.#host.gate.reasonAgainst(host);
    if (reason !== undefined) return new PeerError("PEER_REFUSED", reason);
    if (hasRoom()) return undefined;
    return new PeerError("PEER_TOO_MANY", "the session has no room for another connection");
  }

  /** Where a stream leads, as far as it says; else a name of its own, so that nobody is taken for another. */
  #addressOf(duplex: Duplex): PeerAddress {
    const { remoteAddress, remotePort } = duplex as Partial<Socket>;
    if (typeof remoteAddress !== "string" || isIP(remoteAddress) === 0)
      return { host: `stream-${++this.#streams}`, port: 0 };
    return { host: remoteAddress, port: typeof remotePort === "number" ? remotePort : 0 };
  }

  #streamOver(duplex: Duplex): DuplexStream {
    const { memory, plan, reactor } = this.#host;
    return new DuplexStream(duplex, {
      memory,
      plan: plan.entries,
      rounds: this.#rounds,
      ground: reactor.ground,
    });
  }

  /** Asks for dialNext() of `dialer`, now or when it is its turn and there is room. */
  dial(dialer: Dialer): void {
    this.#dialers.add(dialer);
    this.#dial();
  }

  /** Time passed; about once a second. */
  tick(nowMs: number, elapsedMs: number): void {
    this.#dialingPaused = false;
    for (const listener of this.listeners) listener.tick(nowMs);
    this.#checkConnectTimeouts(nowMs);
    for (const peer of this.table.strangers) peer.tick(elapsedMs);
  }

  /** After the torrents had their tick. */
  dialMore(nowMs: number): void {
    if (this.#dialers.size === 0) return;
    if (this.table.all.size >= this.table.max) this.table.makeRoomToTry(nowMs);
    this.#dial();
  }

  /** Whom the program lets in has changed: whoever is not let in any more goes. */
  gateChanged(): void {
    for (const peer of [...this.table.all]) {
      const reason = this.#host.gate.reasonAgainst(peer.host);
      if (reason !== undefined) peer.close(new PeerError("PEER_REFUSED", reason));
    }
  }

  closeListeners(): void {
    for (const listener of this.listeners) listener.close();
    this.listeners.length = 0;
    this.#arrivals.close();
  }

  closeAll(): void {
    for (const peer of [...this.table.all]) peer.close();
  }

  #setBufferSizes(fd: number): void {
    const { receiveBufferBytes, sendBufferBytes } = this.#host.settings;
    if (receiveBufferBytes + sendBufferBytes > 0)
      this.#host.reactor.engine.setBufferSizes(fd, receiveBufferBytes, sendBufferBytes);
  }

  #pump(stream: ByteStream, connecting: boolean): StreamPump {
    const { reactor, memory } = this.#host;
    return new StreamPump({ turns: reactor, memory, stream, connecting, eagain: reactor.binding.EAGAIN });
  }

  /** Returns the connection's number in the recording, 0 where there is none. */
  #beginRecording(
    about: { readonly host: string; readonly port: number; readonly incoming: boolean },
    { receiveMode }: PeerSettings,
    infoHash: Uint8Array | undefined,
  ): number {
    const { recorder } = this.#host;
    if (recorder?.isOpen !== true) return 0;
    return recorder.opened({
      ...about,
      receiveMode: receiveMode.name,
      ...(infoHash === undefined ? {} : { infoHash: Buffer.from(infoHash).toString("hex") }),
    });
  }

  /** The stream, seen by whoever wants to see what goes over it. */
  #watched(stream: ByteStream, id: number, { host, port }: PeerAddress): ByteStream {
    const { timeline } = this.#host;
    const recorded = this.#recorded(stream, id);
    return timeline === undefined
      ? recorded
      : new TracedStream(recorded, timeline, timeline.track(`${host}:${port}`));
  }

  #recorded(stream: ByteStream, id: number): ByteStream {
    const { recorder, reactor } = this.#host;
    if (recorder === undefined || id === 0) return stream;
    return new RecordingStream(stream, recorder, id, reactor.binding.EAGAIN);
  }

  #noteRecorded(peer: PeerConnection, id: number): void {
    if (id !== 0) this.#recordedIds.set(peer, id);
  }

  #makePeer(
    host: string,
    port: number,
    incoming: boolean,
    transport: StreamPump | UnconnectedTransport,
    settings: PeerSettings,
    swarm?: Swarm,
    overStream = false,
  ): PeerConnection {
    const peer = new PeerConnection({
      host,
      port,
      incoming,
      transport,
      memory: this.#host.memory,
      plan: this.#host.plan,
      clock: this.#host.clock,
      directory: this.#host.directory,
      settings,
      overStream,
      keeper: this.#keeper,
      ...(swarm === undefined ? {} : { swarm }),
      ...(this.#host.trace === undefined ? {} : { trace: this.#host.trace }),
    });
    this.table.add(peer, transport instanceof StreamPump);
    if (this.table.all.size === 1) this.#host.heldChanged();
    return peer;
  }

  #peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    this.table.remove(peer, this.#host.clock.nowMs, error);
    const recorded = this.#recordedIds.get(peer);
    if (recorded !== undefined) {
      this.#recordedIds.delete(peer);
      const why = error === undefined ? {} : { code: error.code, message: error.message };
      this.#host.recorder?.closed(recorded, why);
    }
    if (this.table.all.size === 0) this.#host.heldChanged();
    if (peer.swarm === undefined) this.#host.strangerClosed(peer, error);
    this.#dial();
  }

  /** Begins connections, one of each torrent in turn, as far as there is room. */
  #dial(): void {
    // What is begun may end at once, and ask for the next: the loop that runs sees to it.
    if (this.#isDialing) return;
    this.#isDialing = true;
    try {
      // One that is put in again comes again, after all others.
      for (const dialer of this.#dialers) {
        if (this.#dialingPaused || this.#host.isClosed || !this.table.mayConnect) break;
        this.#dialers.delete(dialer);
        if (dialer.dialNext()) this.#dialers.add(dialer);
      }
    } finally {
      this.#isDialing = false;
    }
  }

  #listenerHost(): ListenerHost {
    const { clock } = this.#host;
    return {
      get nowMs() {
        return clock.nowMs;
      },
      accepted: (fd, remote) => this.#accepted(fd, remote),
      outOfDescriptors: (errno) => this.#outOfDescriptors(errno),
    };
  }

  #accepted(fd: number, remote: PeerAddress): void {
    if (this.#isKeptOut(fd, remote)) return;
    const arrival = this.table.arrivalOf(remote.host, this.#host.clock.nowMs);
    if (arrival === "enters") this.#takeIn(fd, remote);
    else if (arrival === "refused" || !this.#arrivals.add(fd, remote))
      this.#host.reactor.engine.closeSocket(fd);
  }

  /** One that waited has its turn. */
  #returned(fd: number, remote: PeerAddress): void {
    if (this.#isKeptOut(fd, remote)) return;
    if (this.table.mayReturn(remote.host, this.#host.clock.nowMs)) this.#takeIn(fd, remote);
    else this.#host.reactor.engine.closeSocket(fd);
  }

  /** True if the program does not let it in: then its socket is closed. */
  #isKeptOut(fd: number, remote: PeerAddress): boolean {
    const reason = this.#host.gate.reasonAgainst(remote.host);
    if (reason === undefined) return false;
    this.#host.reactor.engine.closeSocket(fd);
    this.#host.strangerRefused(remote, new PeerError("PEER_REFUSED", reason));
    return true;
  }

  #takeIn(fd: number, remote: PeerAddress): void {
    const settings = this.#host.incomingSettings();
    const recorded = this.#beginRecording({ ...remote, incoming: true }, settings, undefined);
    const stream = this.#encryption.incoming(new TcpStream(this.#host.reactor, fd), remote.host);
    const transport = this.#pump(this.#watched(stream, recorded, remote), false);
    const peer = this.#makePeer(remote.host, remote.port, true, transport, settings);
    this.#noteRecorded(peer, recorded);
    transport.start(peer);
  }

  /** Not the peers' fault: this machine has no such address, or no longer, or no port is left there. */
  #noSuchSource(from: string): void {
    if (this.#host.clock.nowMs - this.#noSourceAtMs < WARNING_MS) return;
    this.#noSourceAtMs = this.#host.clock.nowMs;
    this.#host.warn(
      `no connection can be made${from}: this machine has no such address, or no free port there`,
    );
  }

  /** The process, or the system, has no descriptor for one more socket: what nobody needs now goes, and the user may do something. */
  #outOfDescriptors(errno: number): void {
    this.#dialingPaused = true;
    if (!this.#host.descriptors.askBack("file")) this.table.makeRoom(this.#host.clock.nowMs);
    if (this.#host.clock.nowMs - this.#warnedAtMs < WARNING_MS) return;
    this.#warnedAtMs = this.#host.clock.nowMs;
    const limit = this.#host.reactor.binding.descriptorLimit();
    this.#host.warn(
      `no connection can be made or accepted until a descriptor is closed (${describeErrno(errno)}): ` +
        `${this.#host.descriptors.used("connection")} connections and ${this.#host.descriptors.used("file")} files are open, and the ` +
        `process may have ${limit} descriptors; raise that limit (ulimit -n), or lower maxPeers`,
    );
  }

  #checkConnectTimeouts(now: number): void {
    const { connectTimeoutMs } = this.#host.settings;
    const isCrowded = this.#dialers.size > 0 && !this.table.mayConnect;
    const timeoutMs = isCrowded ? Math.min(CROWDED_CONNECT_MS, connectTimeoutMs) : connectTimeoutMs;
    for (const peer of [...this.table.connecting]) {
      peer.tick(0);
      // A handshake has a time of its own, but not while others wait.
      const isTimed = peer.state === "connecting" || (isCrowded && peer.state === "handshaking");
      if (!isTimed || now - peer.sinceMs <= timeoutMs) continue;
      const seconds = Math.round((now - peer.sinceMs) / 1000);
      const reason = `cannot connect to ${peer.host}:${peer.port}: no answer for ${seconds} s`;
      peer.close(new PeerError("PEER_CONNECT_FAILED", reason));
    }
  }
}

/** It is ours, and so are its errors, but nobody wants to hear them. */
function letGoOf(duplex: Duplex): void {
  duplex.on("error", () => {});
  duplex.destroy();
}
