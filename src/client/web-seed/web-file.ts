// The bytes of a torrent at a web seed (BEP 19): which URL has which file, and one GET for a stretch of one file.
//
//   torrent  ├──── run ─────────────────────────────────────────────┤
//   files         ├─ tail of a ─┤├ padding ┤├──── b ────┤├ head of c ┤
//   GETs          └─── Range ───┘ zeros here └── Range ──┘└─ Range ──┘     one after the other, over one connection
//
// Always: bytes that come out are those that the range says, in order; a server that says another range, another length of the file,
// or no range where one is needed, is refused before any of its bytes count.

import type { IncomingMessage } from "node:http";
import { mayNameAddress, scopeOf } from "../../base/network-address.js";
import { HttpGetError, type HttpGround, httpOpen } from "../../native/http-get.js";
import type { Layout } from "../storage/layout.js";

/** Why a web seed is no good, and for how long it is left alone: Infinity for ever. */
export class WebSeedError extends Error {
  override readonly name = "WebSeedError";
  readonly retryMs: number | undefined;

  constructor(message: string, retryMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.retryMs = retryMs;
  }
}

/** A server that cuts its answers into so small parts that reading them takes much of the loop: it is never asked again. */
export class WebSeedCrumbsError extends WebSeedError {
  constructor(message: string) {
    super(message, Number.POSITIVE_INFINITY);
  }
}

const HEAD_MS = 30_000;
const REDIRECTS_MAX = 5;
const RETRY_AFTER_MS_MAX = 60 * 60_000;
const MISSING_MS = 10 * 60_000;
/** Of a server that sends whole files only, so much is passed over to come to what is wanted. */
const SKIPPED_MAX = 4 * 2 ** 20;

/** Where file `index` is. A torrent of one file may be named itself; else the URL is a folder. */
export function fileUrl(base: URL, layout: Pick<Layout, "files">, index: number, isSingleFile: boolean): URL {
  const url = new URL(base);
  const file = layout.files[index];
  const path = file?.originalPath ?? file?.path ?? [];
  if (isSingleFile && !url.pathname.endsWith("/")) return url;
  const folder = url.pathname.endsWith("/") ? url.pathname : `${url.pathname}/`;
  url.pathname = folder + path.map((each) => encodeURIComponent(each)).join("/");
  return url;
}

export interface RangeAnswer {
  readonly response: IncomingMessage;
  /** Bytes of the body before those that were asked for. */
  readonly skip: number;
}

/** Opens bytes `from` … `to` − 1 of a file of `length` bytes. Rejects WebSeedError; an abort by `signal` too. */
export async function openRange(
  http: HttpGround,
  url: URL,
  from: number,
  to: number,
  length: number,
  signal: AbortSignal,
): Promise<RangeAnswer> {
  const opened = await httpOpen(http, url, {
    deadlineMs: HEAD_MS,
    redirectsMax: REDIRECTS_MAX,
    headers: { range: `bytes=${from}-${to - 1}`, "accept-encoding": "identity" },
    mayAsk,
    signal,
  }).catch((error: unknown) => {
    if (!(error instanceof HttpGetError)) throw error;
    // What is no answer of HTTP, or never comes to one, is costly to read, and will hardly be another in a few seconds.
    const retryMs = error.failure === "malformed" ? MISSING_MS : undefined;
    throw new WebSeedError(error.message, retryMs, { cause: error });
  });
  const { response, status } = opened;
  try {
    return { response, skip: skipOf(response, status, from, to, length) };
  } catch (error) {
    response.destroy();
    throw error;
  }
}

/** A torrent file is a stranger's: it has no service of this machine, or of its network, do anything by what stands behind a "?". */
function mayAsk(url: URL, address: string, sender: string | undefined): string | undefined {
  if (sender !== undefined && !mayNameAddress(sender, address))
    return `a redirect from ${sender} to ${address}`;
  const scope = scopeOf(address);
  if (scope === undefined) return `${address} is no address of a web server`;
  if (scope === "global" || url.search === "") return undefined;
  return `at ${address}, which is not far away, only files are asked for, without a query`;
}

/** Throws WebSeedError unless the answer has those bytes. */
function skipOf(response: IncomingMessage, status: number, from: number, to: number, length: number): number {
  const { headers } = response;
  const encoding = headers["content-encoding"] ?? "identity";
  if ((status === 206 || status === 200) && encoding !== "identity")
    throw new WebSeedError("it packs what nobody asked it to pack", Number.POSITIVE_INFINITY);
  if (status === 206) {
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers["content-range"] ?? "");
    const isWhole = Number(match?.[1]) === from && Number(match?.[2]) === to - 1;
    if (!isWhole)
      throw new WebSeedError("it answers with another range than was asked for", Number.POSITIVE_INFINITY);
    if (match?.[3] !== "*" && Number(match?.[3]) !== length)
      throw new WebSeedError(`its file has ${match?.[3]} bytes, not ${length}`, Number.POSITIVE_INFINITY);
    const its = headers["content-length"];
    if (its !== undefined && Number(its) !== to - from)
      throw new WebSeedError(`it says ${its} bytes for a range of ${to - from}`, Number.POSITIVE_INFINITY);
    return 0;
  }
  if (status === 200) {
    const its = headers["content-length"];
    if (its !== undefined && Number(its) !== length)
      throw new WebSeedError(`its file has ${its} bytes, not ${length}`, Number.POSITIVE_INFINITY);
    if (from > SKIPPED_MAX) throw new WebSeedError("it serves no ranges of files", Number.POSITIVE_INFINITY);
    return from;
  }
  if (status === 429 || status === 503) {
    const seconds = Number(headers["retry-after"]);
    const retryMs = Number.isFinite(seconds) && seconds > 0 ? 1000 * seconds : undefined;
    throw new WebSeedError(
      `HTTP status ${status}`,
      retryMs === undefined ? undefined : Math.min(RETRY_AFTER_MS_MAX, retryMs),
    );
  }
  throw new WebSeedError(`HTTP status ${status}`, status >= 400 && status < 500 ? MISSING_MS : undefined);
}
