// WebSockets of WebTorrent peers, by the package ws: bounds of what each may say and hold, and signs of life.
//
// Always: a message has 64 KiB at the most; whoever says more than a few each second, pings and pongs too, or nothing that joins a swarm, or does not answer a
// ping, or does not read what it is told, is closed. What one is told in a turn of the loop goes out in one system call. Those that are gone leave their swarms
// in turns.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import { UsageError } from "../../base/errors.js";
import type { WebCounters, WebPeer, WebSwarms } from "./web-swarms.js";

export interface WebServerCounters extends WebCounters {
  connections: number;
  openConnections: number;
  tooFast: number;
  /** Closed: no sign of life, or in no swarm; what was to be told and was not read. */
  silent: number;
  unread: number;
}

const MESSAGE_BYTES_MAX = 65_536;
/** What a connection may say at once, and each second: a page that opens with many torrents announces all of them. */
const MESSAGES_BURST = 300;
const MESSAGES_PER_SECOND = 20;
const MALFORMED_MAX = 8;
/** What is queued for whoever does not read; twice that ends the connection. */
const UNREAD_BYTES_MAX = 256 * 1024;
export const PING_INTERVAL_MS = 30_000;
/** Swarms that are left in a turn of the loop, by all that are gone: a millisecond or two, and more than are joined in one. */
const LEFT_PER_TURN = 2048;

interface Connection extends WebPeer {
  readonly socket: WebSocket;
  /** Below it. */
  readonly stream: Duplex;
  /** What it is told waits for the end of this turn. */
  isCorked: boolean;
  allowance: number;
  malformed: number;
  /** Since the last ping: nothing was heard. */
  silent: boolean;
}

export class WebServer {
  readonly #swarms: WebSwarms;
  readonly #server: WebSocketServer;
  readonly #connections = new Set<Connection>();
  /** Of those that are gone, whoever is still in swarms; the first that went first. */
  readonly #leaving = new Set<Connection>();
  readonly #leave = (): void => this.#leaveSome();
  #corked: Connection[] = [];
  readonly #uncork = (): void => {
    const corked = this.#corked;
    this.#corked = [];
    for (const connection of corked) {
      connection.isCorked = false;
      connection.stream.uncork();
    }
  };
  readonly #timer: NodeJS.Timeout;
  readonly #counts = { connections: 0, tooFast: 0, silent: 0, unread: 0 };

  /** Loads the package. Rejects with UsageError where it is not installed. */
  static async make(swarms: WebSwarms, pingIntervalMs = PING_INTERVAL_MS): Promise<WebServer> {
    const ws = await import("ws").catch((error: unknown) => {
      throw new UsageError("USAGE_OPTION", "WebSockets need the package ws: run `npm install ws`", {
        cause: error,
      });
    });
    const options = {
      noServer: true,
      maxPayload: MESSAGE_BYTES_MAX,
      perMessageDeflate: false,
      // Pings are answered here, where they have a price.
      autoPong: false,
      clientTracking: false,
    };
    return new WebServer(swarms, new ws.WebSocketServer(options), pingIntervalMs);
  }

  private constructor(swarms: WebSwarms, server: WebSocketServer, pingIntervalMs: number) {
    this.#swarms = swarms;
    this.#server = server;
    this.#timer = setInterval(() => this.#tick(pingIntervalMs / 1000), pingIntervalMs);
  }

  get counters(): WebServerCounters {
    return { ...this.#swarms.counters, ...this.#counts, openConnections: this.#connections.size };
  }

  /** Takes a connection over from the HTTP server. `network`: whose it is. */
  accept(request: IncomingMessage, stream: Duplex, head: Buffer, network: string): void {
    this.#server.handleUpgrade(request, stream, head, (socket) => this.#opened(socket, stream, network));
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { socket } of this.#connections) socket.terminate();
    this.#server.close();
  }

  #opened(socket: WebSocket, stream: Duplex, network: string): void {
    const connection: Connection = {
      network,
      socket,
      stream,
      isCorked: false,
      allowance: MESSAGES_BURST,
      malformed: 0,
      silent: false,
      send: (message) => this.#send(connection, message),
    };
    this.#counts.connections++;
    this.#connections.add(connection);
    socket.on("pong", () => this.#mayGoOn(connection));
    socket.on("ping", (data) => {
      if (this.#mayGoOn(connection) && this.#hasRoom(socket)) socket.pong(data);
    });
    socket.on("message", (data, isBinary) => {
      if (!this.#mayGoOn(connection)) return;
      if (isBinary || !this.#swarms.receive(connection, String(data))) {
        if (++connection.malformed > MALFORMED_MAX) socket.terminate();
      }
    });
    // What goes wrong with a connection ends it: ws would tell the other side, and hear it for 30 s more.
    socket.on("error", () => socket.terminate());
    socket.on("close", () => {
      this.#connections.delete(connection);
      if (!this.#swarms.isMember(connection)) return;
      if (this.#leaving.size === 0) setImmediate(this.#leave);
      this.#leaving.add(connection);
    });
  }

  #leaveSome(): void {
    let left = 0;
    for (const connection of this.#leaving) {
      left += this.#swarms.remove(connection, LEFT_PER_TURN - left);
      if (this.#swarms.isMember(connection)) break;
      this.#leaving.delete(connection);
    }
    if (this.#leaving.size > 0) setImmediate(this.#leave);
  }

  /** Something was heard of the connection. False: it is over, or has said more than it may. */
  #mayGoOn(connection: Connection): boolean {
    const { socket } = connection;
    // What it had said before it was closed is told all the same.
    if (socket.readyState !== socket.OPEN) return false;
    connection.silent = false;
    if (--connection.allowance >= 0) return true;
    this.#counts.tooFast++;
    socket.terminate();
    return false;
  }

  #send(connection: Connection, message: string): void {
    if (!this.#hasRoom(connection.socket)) return;
    if (!connection.isCorked) {
      connection.isCorked = true;
      connection.stream.cork();
      if (this.#corked.push(connection) === 1) queueMicrotask(this.#uncork);
    }
    connection.socket.send(message);
  }

  #hasRoom(socket: WebSocket): boolean {
    if (socket.readyState !== socket.OPEN) return false;
    if (socket.bufferedAmount < UNREAD_BYTES_MAX) return true;
    this.#counts.unread++;
    if (socket.bufferedAmount > 2 * UNREAD_BYTES_MAX) socket.terminate();
    return false;
  }

  /** Whoever was silent since the last ping, or has joined nothing by now, goes. */
  #tick(seconds: number): void {
    for (const connection of this.#connections) {
      connection.allowance = Math.min(MESSAGES_BURST, connection.allowance + seconds * MESSAGES_PER_SECOND);
      if (connection.silent) {
        this.#counts.silent++;
        connection.socket.terminate();
        continue;
      }
      // Somebody in no swarm has until the next tick, and a ping does not help it.
      connection.silent = true;
      if (this.#swarms.isMember(connection)) connection.socket.ping();
    }
  }
}
