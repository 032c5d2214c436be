// The address of a tracker, taken apart once.
//
// Always: what comes out has a protocol that we speak, a host and a port; what is refused is refused before anything is sent.

import { TrackerError } from "../../base/errors.js";
import { printableText } from "./announce.js";

export interface TrackerUrl {
  /** As URL writes it: equal for equal trackers. */
  readonly text: string;
  readonly protocol: "udp" | "http" | "https";
  /** A name or a numeric address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query, as they go into a request (BEP 41 for UDP). */
  readonly path: string;
  readonly url: URL;
}

/** A pass key and more; of UDP's it must fit a datagram beside the announce. */
const URL_LENGTH_MAX = 2048;
const UDP_PATH_LENGTH_MAX = 1024;

/** Throws TrackerError `TRACKER_URL`. */
export function parseTrackerUrl(text: string): TrackerUrl {
  const refuse = (why: string): never => {
    throw new TrackerError("TRACKER_URL", `not a tracker's address (${why}): ${printableText(text)}`);
  };
  if (text.length > URL_LENGTH_MAX) return refuse(`longer than ${URL_LENGTH_MAX} characters`);
  if (!URL.canParse(text)) return refuse("not a URL");
  const url = new URL(text);
  const protocol = url.protocol.slice(0, -1);
  if (protocol !== "udp" && protocol !== "http" && protocol !== "https")
    return refuse("trackers are asked over udp, http and https");
  url.hash = "";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? { udp: 0, http: 80, https: 443 }[protocol] : Number(url.port);
  if (host === "") return refuse("no host");
  if (port === 0) return refuse("no port");
  const path = `${url.pathname}${url.search}`;
  if (protocol === "udp" && path.length > UDP_PATH_LENGTH_MAX)
    return refuse(`a path longer than ${UDP_PATH_LENGTH_MAX} characters`);
  return { text: url.href, protocol, host, port, path: path === "" ? "/" : path, url };
}
