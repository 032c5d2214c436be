// A server of HTTP on loopback that answers what a test says, and notes what it was asked.

import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import { CERTIFICATE, CERTIFICATE_KEY } from "./certificate.js";

export interface TestServer {
  readonly host: string;
  readonly port: number;
  /** "http://127.0.0.1:1234" */
  readonly origin: string;
  /** Paths with queries, in their order. */
  readonly asked: string[];
  readonly sockets: Set<Socket>;
}

export async function serveHttp(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  { host = "127.0.0.1", secure = false }: { host?: string; secure?: boolean } = {},
): Promise<TestServer> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const listener: RequestListener = (request, response) => {
    asked.push(request.url ?? "");
    answer(request, response);
  };
  const server = secure
    ? createSecureServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, listener)
    : createServer(listener);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const origin = `http${secure ? "s" : ""}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return { host, port, origin, asked, sockets };
}
