// One file of a torrent over HTTP, while it is still coming: what a player opens. It seeks by ranges (RFC 9110), and each answer is a read
// stream of its own, so that what it wants next is fetched before all else.
//
// Always: an answer that nobody reads any more leaves nothing urgent; answers and connections at one time are bounded, and where all are taken
// those that take nothing make room: a player that is paused goes on with a range. There is one version of the file, since its hashes
// say what it is: its entity tag is made of the torrent's info hash, and is the same whoever serves it, and when.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { extname } from "node:path";
import { pipeline } from "node:stream/promises";
import { entryOf, present } from "../base/assert.js";
import { isLoopback, isThisMachine } from "../base/network-address.js";
import { hasBody, settleTarget } from "../base/request-target.js";
import { RequestTurns } from "../base/request-turns.js";
import { ServerPlaces } from "../base/server-places.js";
import { type PeerAddress, type Torrent, UsageError } from "../index.js";

const ANSWERS_MAX = 32;
/** An answer of which so long nothing was taken makes room for another one, where all are taken. */
const PAUSED_MS = 1000;
/** Each is a descriptor that peers and files could have. */
const CONNECTIONS_MAX = 128;
const LIMITS = {
  maxHeaderSize: 8192,
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
};
const REQUESTS_PER_CONNECTION_MAX = 64;
/** Whom they ask who say no name, as no browser does. */
const LOCALHOST = "localhost";
const ASKED_OTHERWISE = "ask for this machine by its address, or as localhost\n";
const NO_BODIES = "no bodies here\n";
const NOBODY_ASKED = "one host, and a path on it\n";
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".aac": "audio/aac",
  ".avi": "video/x-msvideo",
  ".flac": "audio/flac",
  ".m4a": "audio/mp4",
  ".m4v": "video/mp4",
  ".mkv": "video/x-matroska",
  ".mov": "video/quicktime",
  ".mp3": "audio/mpeg",
  ".mp4": "video/mp4",
  ".ogg": "audio/ogg",
  ".opus": "audio/ogg",
  ".txt": "text/plain",
  ".wav": "audio/wav",
  ".webm": "video/webm",
};

export interface FileServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the file until it is closed. Rejects UsageError `LISTEN_FAILED`. */
export async function serveFile(torrent: Torrent, fileIndex: number, at: PeerAddress): Promise<FileServer> {
  const file = entryOf(
    present(torrent.metainfo, "a torrent that is served has its metadata").files,
    fileIndex,
  );
  const name = file.path.at(-1) ?? torrent.name;
  const tag = `"${Buffer.from(torrent.infoHash).toString("hex")}-${fileIndex}"`;
  // A page of somebody else's could give its own name our address, and read the file: but not under ours.
  const isOurs = isLoopback(at.host);
  const answers = new Answers();
  const places = new ServerPlaces<Socket>(CONNECTIONS_MAX);
  // Requests may come in one piece by the hundred, and the loop downloads as well.
  const turns = new RequestTurns();
  const server = createServer(LIMITS, (request, response) => {
    const { socket } = request;
    places.asked(socket);
    turns.asked(socket);
    response.once("close", () => {
      places.answered(socket);
      turns.answered(socket);
    });
    // Node.js would read it for as long as a request may take, in pieces of a byte if the client likes.
    if (hasBody(request)) {
      response.writeHead(413, { "content-type": "text/plain" }).end(NO_BODIES);
      request.socket.destroySoon();
      return;
    }
    if (!settleTarget(request)) {
      response.writeHead(400, { "content-type": "text/plain" }).end(NOBODY_ASKED);
      return;
    }
    if (isOurs && !isThisMachine(request.headers.host ?? LOCALHOST)) {
      response.writeHead(421, { "content-type": "text/plain" }).end(ASKED_OTHERWISE);
      return;
    }
    if (!answers.begin(response)) {
      response.writeHead(503).end();
      return;
    }
    answer(torrent, fileIndex, { name, tag, length: file.length }, request, response)
      // The player left, or the torrent is over: its next request is told.
      .catch(() => response.destroy())
      .finally(() => answers.end(response));
  });
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  // It has been told that the one before was the last.
  server.on("dropRequest", (_request, socket) => socket.destroy());
  server.on("connection", (socket: Socket) => {
    if (!places.came(socket)) {
      socket.destroy();
      return;
    }
    turns.take(socket);
    socket.once("close", () => places.left(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new UsageError("LISTEN_FAILED", `cannot listen at ${at.host}:${at.port}: ${error.message}`)),
    );
    server.listen(at.port, at.host, resolve);
  });
  // From here on accepting may fail for want of descriptors: those who wait are accepted later.
  server.on("error", () => {});
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : at.port;
  const host = at.host.includes(":") ? `[${at.host}]` : at.host;
  return {
    url: `http://${host}:${port}/${encodeURIComponent(name)}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What is answered at one time. */
class Answers {
  /** When something of each was taken last. */
  readonly #takenMs = new Map<ServerResponse, number>();

  /** False if there is no room for one more. */
  begin(response: ServerResponse): boolean {
    if (this.#takenMs.size >= ANSWERS_MAX && !this.#makeRoom()) return false;
    this.#takenMs.set(response, performance.now());
    response.on("drain", () => {
      if (this.#takenMs.has(response)) this.#takenMs.set(response, performance.now());
    });
    return true;
  }

  end(response: ServerResponse): void {
    this.#takenMs.delete(response);
  }

  #makeRoom(): boolean {
    let longest: ServerResponse | undefined;
    let sinceMs = performance.now() - PAUSED_MS;
    for (const [response, takenMs] of this.#takenMs)
      if (takenMs <= sinceMs) {
        longest = response;
        sinceMs = takenMs;
      }
    if (longest === undefined) return false;
    this.end(longest);
    longest.destroy();
    return true;
  }
}

async function answer(
  torrent: Torrent,
  fileIndex: number,
  file: { readonly name: string; readonly tag: string; readonly length: number },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
    return;
  }
  const status = statusOf(request.headers, file.tag);
  if (status !== undefined) {
    response.writeHead(status, { etag: file.tag }).end();
    return;
  }
  // What was begun of another version is to be had from its start.
  const begunTag = request.headers["if-range"] ?? file.tag;
  const range = rangeOf(begunTag === file.tag ? request.headers.range : undefined, file.length);
  if (range === undefined) {
    response.writeHead(416, { "content-range": `bytes */${file.length}` }).end();
    return;
  }
  const { start, end } = range;
  response.writeHead(range.isPart ? 206 : 200, {
    "accept-ranges": "bytes",
    etag: file.tag,
    "content-length": end - start + 1,
    "content-type": CONTENT_TYPES[extname(file.name).toLowerCase()] ?? "application/octet-stream",
    ...(range.isPart ? { "content-range": `bytes ${start}-${end}/${file.length}` } : {}),
  });
  if (request.method === "HEAD" || file.length === 0) {
    response.end();
    return;
  }
  await pipeline(torrent.createReadStream(fileIndex, { start, end }), response);
}

/** What a request's conditions come to (RFC 9110, 13.2.2): all of the answer, or undefined. */
function statusOf(headers: IncomingHttpHeaders, tag: string): 304 | 412 | undefined {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  if (match !== undefined && !names(match, tag)) return 412;
  // Here, unlike there, a tag that may stand for several versions will do.
  return noneMatch !== undefined && names(noneMatch.replaceAll("W/", ""), tag) ? 304 : undefined;
}

/** Whether a list of entity tags has this one, or stands for any. */
function names(list: string, tag: string): boolean {
  return list.split(",").some((each) => each.trim() === tag || each.trim() === "*");
}

/** One range, as players ask for; of several, or another unit, all is sent. Undefined: the file has nothing of it. */
function rangeOf(
  header: string | undefined,
  length: number,
): { readonly start: number; readonly end: number; readonly isPart: boolean } | undefined {
  const all = { start: 0, end: length - 1, isPart: false };
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return all;
  if (match[1] === "") {
    const last = Number(match[2]);
    return last === 0 || length === 0
      ? undefined
      : { start: Math.max(0, length - last), end: length - 1, isPart: true };
  }
  const start = Number(match[1]);
  const end = match[2] === "" ? length - 1 : Math.min(length - 1, Number(match[2]));
  if (match[2] !== "" && Number(match[2]) < start) return all;
  return start >= length ? undefined : { start, end, isPart: true };
}
