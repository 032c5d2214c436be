// One GET over HTTP or HTTPS, with bounds for all that the other side decides: how long it takes, how much it says, where it sends us.
//
// Always: the answer, packed or not, is at most `bytesMax` long, and takes little more memory than that, however it is cut; everything
// together, names and redirects included, ends by `deadlineMs`, however slowly bytes come; a redirect leads to no scheme that is weaker,
// and to no address that `mayAsk` refuses: addresses are looked at after the name was resolved, so that a name cannot stand for one that is
// not allowed.

import {
  type ClientRequest,
  type Agent as HttpAgent,
  type IncomingMessage,
  request as requestHttp,
} from "node:http";
import { type Agent as HttpsAgent, request as requestHttps } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { gunzipSync, inflateSync } from "node:zlib";
import type { Ground } from "../base/ground.js";
import { reasonAgainstSource, type SourceFor } from "../base/network-address.js";
import { CLIENT_NAME } from "../base/version.js";
import type { NameResolver } from "./names.js";

export type HttpFailure =
  | "name"
  | "connect"
  | "timeout"
  | "too-long"
  | "redirect"
  | "malformed"
  | "refused"
  | "aborted";

/** Why there is no answer. */
export class HttpGetError extends Error {
  override readonly name = "HttpGetError";
  readonly failure: HttpFailure;

  constructor(failure: HttpFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}

export interface HttpGround {
  readonly ground: Ground;
  readonly names: NameResolver;
  /** Connections that are kept for the next request, and bounds for how many there are. Undefined: one each. */
  readonly http?: HttpAgent | undefined;
  readonly https?: HttpsAgent | undefined;
  /** By default the system chooses. */
  readonly sourceFor?: SourceFor | undefined;
}

export interface HttpGetOptions {
  readonly bytesMax: number;
  readonly deadlineMs: number;
  readonly redirectsMax: number;
  /** Of addresses of this kind only. */
  readonly family?: 4 | 6 | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Why `url`, whose host is at `address`, is not to be asked; `from` is the address of whoever sent us there. */
  readonly mayAsk?: (url: URL, address: string, from: string | undefined) => string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
  /** Who answered. */
  readonly url: URL;
  readonly address: string;
}

const HEADER_BYTES_MAX = 16 * 1024;
/** Answers before the answer (status 1xx): who sends more of them has us read nothing else, at many times what a byte of a body costs. */
const INFORMED_MAX = 16;
/**
 * What an answer takes on its way, as a part of what it may be long: one of which each byte is a chunk, with a name of thousands of letters,
 * would have all of our link.
 */
const FRAMING_TIMES_MAX = 8;
/** Answers are read into memory that grows from here. */
const READ_BYTES_MIN = 4096;

/** An answer of which the head has come. */
export interface HttpOpened {
  readonly status: number;
  /** Its body; whoever has read enough destroys it. */
  readonly response: IncomingMessage;
  readonly url: URL;
  readonly address: string;
}

/** Resolves when the head of the answer is there, which the deadline is for; the body is the caller's. Rejects HttpGetError. */
export async function httpOpen(
  from: HttpGround,
  url: URL,
  options: Omit<HttpGetOptions, "bytesMax">,
): Promise<HttpOpened> {
  const get = new Get(from, { ...options, bytesMax: 0 });
  try {
    const opened = await get.open(url);
    get.release();
    return opened;
  } finally {
    get.end();
  }
}

/** Rejects HttpGetError. Any status but a redirect's is an answer. */
export async function httpGet(from: HttpGround, url: URL, options: HttpGetOptions): Promise<HttpAnswer> {
  const get = new Get(from, options);
  try {
    return await get.follow(url);
  } finally {
    get.end();
  }
}

class Get {
  readonly #from: HttpGround;
  readonly #options: HttpGetOptions;
  readonly #over: Promise<never>;
  readonly #timer: { close(): unknown };
  readonly #abort: () => void;
  #stop!: (error: HttpGetError) => void;
  #stopped: HttpGetError | undefined;
  #request: ClientRequest | undefined;

  constructor(from: HttpGround, options: HttpGetOptions) {
    this.#from = from;
    this.#options = options;
    this.#over = new Promise((_resolve, reject) => {
      this.#stop = (error) => {
        this.#stopped ??= error;
        reject(error);
        this.#request?.destroy();
      };
    });
    this.#over.catch(() => {});
    this.#timer = from.ground.after(options.deadlineMs, () =>
      this.#stop(new HttpGetError("timeout", `no answer within ${options.deadlineMs / 1000} s`)),
    );
    this.#abort = () => this.#stop(new HttpGetError("aborted", "nobody waits for the answer any more"));
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    if (options.signal?.aborted === true) this.#abort();
  }

  end(): void {
    this.#timer.close();
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#request?.destroy();
  }

  /** The answer goes on without us. */
  release(): void {
    this.#request = undefined;
  }

  async follow(first: URL): Promise<HttpAnswer> {
    const { response, status, url, address } = await this.open(first);
    return { status, body: await this.#read(response), url, address };
  }

  /** Goes where redirects lead. */
  async open(first: URL): Promise<HttpOpened> {
    let url = first;
    let sender: string | undefined;
    for (let redirects = 0; ; redirects++) {
      const address = await this.#addressOf(url);
      const why = this.#options.mayAsk?.(url, address, sender);
      if (why !== undefined) throw new HttpGetError(sender === undefined ? "refused" : "redirect", why);
      const response = await this.#ask(url, address);
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (status < 300 || status >= 400 || location === undefined) return { status, response, url, address };
      response.destroy();
      if (redirects === this.#options.redirectsMax)
        throw new HttpGetError("redirect", `more than ${redirects} redirects`);
      url = next(url, location);
      sender = address;
    }
  }

  async #addressOf(url: URL): Promise<string> {
    const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const { family } = this.#options;
    const found = await Promise.race([this.#from.names.resolve(name), this.#over]);
    const fitting = found.filter((each) => family === undefined || isIP(each) === family);
    const { sourceFor } = this.#from;
    // Of several, one that is reached from where we are bound to.
    const address =
      fitting.find((each) => reasonAgainstSource(sourceFor?.(each), each) === undefined) ?? fitting[0];
    if (address !== undefined) return address;
    const kind = family === undefined || found.length === 0 ? "" : ` for IPv${family}`;
    throw new HttpGetError("name", `the name ${name} has no address${kind}`);
  }

  /**
   * The other side may have ended a connection that was kept, while we ask over it: then it is asked over another one, as RFC 9112, 9.3.1,
   * has it for what may be asked twice. Each that fails is kept no longer, so that the last one is new.
   */
  async #ask(url: URL, address: string): Promise<IncomingMessage> {
    for (;;) {
      if (this.#stopped !== undefined) throw this.#stopped;
      const { request, answered } = this.#send(url, address);
      try {
        return await Promise.race([answered, this.#over]);
      } catch (error) {
        const isOver = error instanceof HttpGetError && error.failure === "connect";
        if (!isOver || !request.reusedSocket) throw error;
      }
    }
  }

  #send(url: URL, address: string): { request: ClientRequest; answered: Promise<IncomingMessage> } {
    const isSecure = url.protocol === "https:";
    const agent = isSecure ? this.#from.https : this.#from.http;
    const family = isIP(address);
    // The name was resolved already; it stays in the URL for the header Host and for the certificate.
    const lookup: LookupFunction = (_name, how, answer) => {
      if (how.all === true) answer(null, [{ address, family }]);
      else answer(null, address, family);
    };
    const source = this.#from.sourceFor?.(address);
    const reason = reasonAgainstSource(source, address);
    if (reason !== undefined) throw new HttpGetError("connect", reason);
    const options = {
      lookup,
      family,
      ...(source === undefined ? {} : { localAddress: source }),
      agent: agent ?? false,
      maxHeaderSize: HEADER_BYTES_MAX,
      headers: {
        "user-agent": CLIENT_NAME.replace(" ", "/"),
        "accept-encoding": "gzip",
        ...this.#options.headers,
      },
    };
    let request: ClientRequest;
    try {
      request = isSecure ? requestHttps(url, options) : requestHttp(url, options);
    } catch (cause) {
      // A URL may be one and hold a user's name that Node.js cannot decode; strangers write them.
      throw new HttpGetError("malformed", `${url.origin} cannot be asked: ${String(cause)}`, { cause });
    }
    this.#request = request;
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.on("response", resolve);
      let informed = 0;
      request.on("information", () => {
        if (++informed <= INFORMED_MAX) return;
        reject(new HttpGetError("malformed", `more than ${INFORMED_MAX} answers came before the answer`));
        request.destroy();
      });
      // It was not asked to speak something else.
      request.on("upgrade", (_response, socket) => {
        socket.destroy();
        reject(new HttpGetError("malformed", "it answers with another protocol"));
      });
      request.on("close", () =>
        reject(new HttpGetError("connect", "the connection ended without an answer")),
      );
      request.on("error", (error: NodeJS.ErrnoException) => {
        const failure = error.code?.startsWith("HPE_") === true ? "malformed" : "connect";
        reject(
          this.#stopped ?? new HttpGetError(failure, error.message || String(error.code), { cause: error }),
        );
      });
      request.end();
    });
    // Whichever is first; the other must not be a rejection that nobody handles.
    answered.catch(() => {});
    return { request, answered };
  }

  async #read(response: IncomingMessage): Promise<Uint8Array> {
    const { bytesMax } = this.#options;
    const tooLong = (): HttpGetError =>
      new HttpGetError("too-long", `the answer is longer than ${bytesMax} bytes`);
    let bytes = new Uint8Array(READ_BYTES_MIN);
    let length = 0;
    const { socket } = response;
    const wireMax = socket.bytesRead + FRAMING_TIMES_MAX * (bytesMax + HEADER_BYTES_MAX);
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        const needed = length + chunk.length;
        if (needed > bytesMax || socket.bytesRead > wireMax) throw tooLong();
        // Copied at once: a chunk may be a single byte, and is an object with memory of its own.
        if (needed > bytes.length) bytes = enlarged(bytes, Math.min(bytesMax, Math.max(needed, 2 * length)));
        bytes.set(chunk, length);
        length = needed;
      }
    } catch (error) {
      if (this.#stopped !== undefined) throw this.#stopped;
      if (error instanceof HttpGetError) throw error;
      throw new HttpGetError("connect", "the connection ended within the answer", { cause: error });
    }
    // Its connection may be kept for the next one.
    this.#request = undefined;
    const body = bytes.subarray(0, length);
    try {
      return unpacked(body, response.headers["content-encoding"] ?? "identity", bytesMax);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLong();
      throw new HttpGetError("malformed", "the answer cannot be unpacked", { cause: error });
    }
  }
}

function enlarged(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

/** Here and not on libuv's threads, which are our host's: what comes out is bounded. */
function unpacked(body: Uint8Array, encoding: string, maxOutputLength: number): Uint8Array {
  switch (encoding.trim().toLowerCase()) {
    case "gzip":
    case "x-gzip":
      return gunzipSync(body, { maxOutputLength });
    case "deflate":
      return inflateSync(body, { maxOutputLength });
    case "identity":
    case "":
      return body;
    default:
      throw new Error("an encoding that was not asked for");
  }
}

function next(url: URL, location: string): URL {
  let target: URL;
  try {
    target = new URL(location, url);
  } catch (error) {
    throw new HttpGetError("redirect", "a redirect to what is no address", { cause: error });
  }
  if (target.protocol !== "https:" && (target.protocol !== "http:" || url.protocol === "https:"))
    throw new HttpGetError("redirect", `a redirect from ${url.protocol} to ${target.protocol.slice(0, 20)}`);
  return target;
}
