// What a request over HTTP asks for (RFC 9112, section 3.2), in the one form that handlers look at: a path, which begins with "/", and maybe a query.
//
// Always: whatever way a path is written, a handler sees the same, and the host that it sees is the one that was asked.

import type { IncomingMessage } from "node:http";

/** A whole URL, as proxies are asked, and as each server has to take it: the host, and what follows. Nobody may name a user there. */
const WHOLE_URL = /^https?:\/\/([^/?#@\s]+)([/?][^#\s]*)?$/i;
/** Characters that mean the same when they are escaped (RFC 3986, section 2.3). */
const UNRESERVED = /^[\w.~-]$/;
const ESCAPED = /%([0-9a-f]{2})/gi;
const SLASH = 0x2f;

/** False: what it asks for, or whom, cannot be told (400). */
export function settleTarget(request: IncomingMessage): boolean {
  if (hasTwoHosts(request.rawHeaders)) return false;
  const { url = "" } = request;
  if (url.charCodeAt(0) !== SLASH) {
    const [, host, rest = ""] = WHOLE_URL.exec(url) ?? [];
    // "*", or the host alone of a CONNECT: no path, and no handler knows it.
    if (host === undefined) return !url.includes("://");
    request.headers.host = host;
    request.url = rest.startsWith("/") ? rest : `/${rest}`;
  }
  unescapePath(request);
  return true;
}

/** Whether something comes behind the head that no handler here wants to have. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return "transfer-encoding" in headers || (headers["content-length"] ?? "0") !== "0";
}

/** The number of values is no use: Node.js shows the first one only. */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}

function unescapePath(request: IncomingMessage): void {
  const { url = "" } = request;
  const escapedAt = url.indexOf("%");
  if (escapedAt < 0) return;
  const mark = url.indexOf("?");
  if (mark >= 0 && mark < escapedAt) return;
  const end = mark < 0 ? url.length : mark;
  const path = url.slice(0, end).replace(ESCAPED, (text, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return UNRESERVED.test(character) ? character : text;
  });
  request.url = path + url.slice(end);
}
