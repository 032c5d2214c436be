// An HTTP server that strangers may reach: node:http with a bound for everything that a client can make it hold, each with a counter.
// What it answers is the handler's.
//
// Always: a connection has sent a whole request within `headersTimeoutMs`, or is closed; one that is done with its requests is closed
// after `idleTimeoutMs`; whoever does not take its answer, after `stallTimeoutMs`. Where all places are taken, the one that has asked for nothing
// for longest makes room. Requests have no bodies.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { UsageError } from "../base/errors.js";
import { isLoopback } from "../base/network-address.js";
import { NetworkCounts } from "../base/network-counts.js";
import type { OptionsOf } from "../base/option-check.js";
import { hasBody, settleTarget } from "../base/request-target.js";
import { RequestTurns } from "../base/request-turns.js";
import { ServerPlaces } from "../base/server-places.js";
import type { SocketAddress } from "./binding.js";
import type { ClientAddresses } from "./client-address.js";

/** What bounds a server of HTTP. */
export interface HttpLimits {
  /** Connections at one time: the one that has asked for nothing for longest makes room for another, which is closed if none does. */
  readonly connectionsMax?: number;
  /** Of one IPv4 address or one /64 of IPv6, and eight times as many of a /48; proxies of ours and this machine have no such bound. */
  readonly connectionsPerAddressMax?: number;
  /** Bytes of the head of a request. */
  readonly headerBytesMax?: number;
  /** Characters of the path and query of a request. */
  readonly urlLengthMax?: number;
  /** Requests of one connection; then it is closed. */
  readonly requestsPerConnectionMax?: number;
  /** Milliseconds for the head of a request to come. */
  readonly headersTimeoutMs?: number;
  /** Milliseconds that a connection may be idle. */
  readonly idleTimeoutMs?: number;
  /** Milliseconds that an answer may not be taken. */
  readonly stallTimeoutMs?: number;
}

const COUNT = { kind: "whole", min: 1, max: 2 ** 31 - 1 } as const;

export const HTTP_LIMIT_OPTIONS = {
  connectionsMax: COUNT,
  connectionsPerAddressMax: COUNT,
  headerBytesMax: COUNT,
  urlLengthMax: COUNT,
  requestsPerConnectionMax: COUNT,
  headersTimeoutMs: COUNT,
  idleTimeoutMs: COUNT,
  stallTimeoutMs: COUNT,
} as const satisfies OptionsOf<HttpLimits>;

export const HTTP_LIMITS_DEFAULT: Required<HttpLimits> = {
  connectionsMax: 4096,
  connectionsPerAddressMax: 64,
  headerBytesMax: 8192,
  urlLengthMax: 4096,
  requestsPerConnectionMax: 256,
  headersTimeoutMs: 10_000,
  idleTimeoutMs: 5000,
  stallTimeoutMs: 20_000,
};

export interface HttpCounters {
  connections: number;
  requests: number;
  bytesOut: number;
  /** Connections that had to make room, or were not taken: there were too many, or too many of one address. */
  tooManyConnections: number;
  tooManyOfAddress: number;
  /** Connections that were closed: more of their requests waited for an answer than may. */
  tooManyAtOnce: number;
  /** Requests that did not come in time, had too long a head or address, had a body, or were no HTTP. */
  slowRequests: number;
  longHeaders: number;
  longUrls: number;
  bodies: number;
  notHttp: number;
}

/** Answers one request; `address` is the client's, 4 or 16 bytes. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse, address: Uint8Array) => void;
/** Takes over a connection that wants to speak another protocol. */
export type UpgradeHandler = (
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  address: Uint8Array,
) => void;

/** How often expired connections are looked for. */
const CHECK_INTERVAL_MS = 500;
/** What a close waits for requests under way. */
const CLOSE_GRACE_MS = 2000;

export function emptyHttpCounters(): HttpCounters {
  return {
    connections: 0,
    requests: 0,
    bytesOut: 0,
    tooManyConnections: 0,
    tooManyOfAddress: 0,
    tooManyAtOnce: 0,
    slowRequests: 0,
    longHeaders: 0,
    longUrls: 0,
    bodies: 0,
    notHttp: 0,
  };
}

export class HttpServer {
  readonly counters = emptyHttpCounters();
  readonly #server: Server;
  readonly #limits: Required<HttpLimits>;
  readonly #clients: ClientAddresses;
  readonly #handler: HttpHandler;
  readonly #open = new NetworkCounts();
  readonly #places: ServerPlaces<Socket>;
  readonly #turns = new RequestTurns(() => {
    this.counters.tooManyAtOnce++;
  });

  constructor(clients: ClientAddresses, limits: HttpLimits, handler: HttpHandler, upgrade?: UpgradeHandler) {
    this.#clients = clients;
    this.#handler = handler;
    this.#limits = { ...HTTP_LIMITS_DEFAULT, ...limits };
    this.#places = new ServerPlaces(this.#limits.connectionsMax);
    const { headersTimeoutMs, idleTimeoutMs, stallTimeoutMs, headerBytesMax } = this.#limits;
    const server = createServer({
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: headersTimeoutMs,
      keepAliveTimeout: idleTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, headersTimeoutMs),
      noDelay: true,
    });
    this.#server = server;
    server.timeout = stallTimeoutMs;
    server.maxRequestsPerSocket = this.#limits.requestsPerConnectionMax;
    server.on("connection", (socket: Socket) => this.#connected(socket));
    server.on("request", (request, response) => this.#requested(request, response));
    // It has been told that the one before was the last.
    server.on("dropRequest", (_request, socket) => socket.destroy());
    // None is known: it is a request like any other.
    server.on("checkExpectation", (request, response) => this.#requested(request, response));
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => this.#failed(error, socket));
    if (upgrade !== undefined)
      server.on("upgrade", (request, socket, head) => this.#upgraded(request, socket, head, upgrade));
  }

  /** Where it listens once this resolves, with the port that was picked. Rejects with UsageError LISTEN_FAILED. */
  listen({ host, port }: SocketAddress): Promise<SocketAddress> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) =>
        reject(
          new UsageError("LISTEN_FAILED", `cannot listen at ${host} port ${port}: ${error.message}`, {
            cause: error,
          }),
        ),
      );
      this.#server.listen({ host, port, ipv6Only: host.includes(":") }, () => {
        const { address, port: picked } = this.#server.address() as AddressInfo;
        // From here on accepting may fail for want of descriptors: those who wait are accepted later.
        this.#server.on("error", () => {});
        resolve({ host: address, port: picked });
      });
    });
  }

  get openConnections(): number {
    return this.#places.count;
  }

  /** Takes nobody any more; resolves when requests under way are answered, or did not end in two seconds. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      const force = setTimeout(() => {
        for (const socket of this.#places) socket.destroy();
      }, CLOSE_GRACE_MS);
      this.#server.close(() => {
        clearTimeout(force);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
  }

  #connected(socket: Socket): void {
    this.counters.connections++;
    const host = socket.remoteAddress ?? "";
    const isBounded = !isLoopback(host) && !this.#clients.isTrusted(host);
    if (isBounded && this.#open.isFull(host, this.#limits.connectionsPerAddressMax)) {
      this.counters.tooManyOfAddress++;
      socket.destroy();
      return;
    }
    if (this.#places.isFull) this.counters.tooManyConnections++;
    if (!this.#places.came(socket)) {
      socket.destroy();
      return;
    }
    this.#turns.take(socket);
    this.#open.add(host);
    socket.once("close", () => {
      this.#places.left(socket);
      this.#open.remove(host);
    });
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    this.counters.requests++;
    const { socket } = request;
    this.#places.asked(socket);
    this.#turns.asked(socket);
    response.once("close", () => {
      this.#places.answered(socket);
      this.#turns.answered(socket);
    });
    const refuse = (status: number, reason: string): void => {
      response.shouldKeepAlive = false;
      this.answer(response, status, "text/plain", `${reason}\n`);
    };
    if (!settleTarget(request)) {
      this.counters.notHttp++;
      refuse(400, "one host, and a path on it");
      return;
    }
    if (urlOf(request).length > this.#limits.urlLengthMax) {
      this.counters.longUrls++;
      refuse(414, "too long");
      return;
    }
    if (hasBody(request)) {
      this.counters.bodies++;
      refuse(413, "no bodies here");
      request.socket.destroySoon();
      return;
    }
    const address = this.#addressOf(request);
    if (address === undefined) refuse(400, "a proxy forwards for something that is no address");
    else this.#handler(request, response, address);
  }

  /** `body` is text of which each character is one byte: that leaves together with the head, in one piece. */
  answer(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
    this.counters.bytesOut += body.length;
    response.writeHead(status, { "Content-Type": type, "Content-Length": body.length });
    response.end(body, "latin1");
  }

  #upgraded(request: IncomingMessage, socket: Duplex, head: Buffer, upgrade: UpgradeHandler): void {
    this.counters.requests++;
    // For good: who speaks another protocol has deadlines of that.
    this.#places.asked(request.socket);
    this.#turns.upgraded(request.socket);
    const address = settleTarget(request) ? this.#addressOf(request) : undefined;
    if (address === undefined || urlOf(request).length > this.#limits.urlLengthMax) socket.destroy();
    else upgrade(request, socket, head, address);
  }

  #addressOf(request: IncomingMessage): Uint8Array | undefined {
    const forwarded = request.headers["x-forwarded-for"];
    return this.#clients.clientOf(
      request.socket.remoteAddress ?? "",
      Array.isArray(forwarded) ? forwarded.join(",") : forwarded,
    );
  }

  #failed({ code }: NodeJS.ErrnoException, socket: Duplex): void {
    let status = "400 Bad Request";
    if (code === "HPE_HEADER_OVERFLOW") {
      this.counters.longHeaders++;
      status = "431 Request Header Fields Too Large";
    } else if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
      this.counters.slowRequests++;
      status = "408 Request Timeout";
    } else if (code !== "ECONNRESET" && code !== "EPIPE") this.counters.notHttp++;
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    // Whoever does not close its side has had its answer, all the same.
    socket.destroy();
  }
}

/** What was asked for; Node's types know requests that are answers, too, and have none. */
export function urlOf(request: IncomingMessage): string {
  return request.url ?? "";
}
