// A router that does UPnP (Internet Gateway Device 1 and 2): found by SSDP, asked by SOAP over HTTP to forward a port.
//
// Always: the router that all else goes to is asked, and nobody else is believed: an answer from another address, or one that sends us to
// another host, is none. What it says is text of a bounded length, of which a few fields are looked for, and each exchange has a deadline.
// Nothing is kept open between two exchanges, and nothing at all once `over` says so.

import { createSocket } from "node:dgram";
import { request } from "node:http";
import type { Ground, Timer } from "../../base/ground.js";
import { KIB } from "../../base/limits.js";
import { CLIENT_NAME } from "../../base/version.js";

export interface UpnpOptions {
  readonly ground: Ground;
  /** Numeric IPv4 address of the router; undefined: nobody knows of one. */
  readonly host: () => string | undefined;
  /** Ends all exchanges, as if nobody had answered, and lets none begin. */
  readonly over: AbortSignal;
  /** Where routers hear searches; for tests. */
  readonly searchPort?: number;
}

export type UpnpAnswer =
  | { readonly kind: "mapped" }
  /** That port outside is not to be had; another one may be. */
  | { readonly kind: "taken"; readonly code: number }
  | { readonly kind: "refused"; readonly code: number };

interface Service {
  readonly type: string;
  readonly control: URL;
  /** Our address, as the router sees it. */
  readonly ours: string;
}

interface Page {
  readonly status: number;
  readonly text: string;
  readonly ours: string;
}

const SEARCH_GROUP = "239.255.255.250";
const SEARCH_PORT = 1900;
const SEARCH_FOR = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
/** A search is sent anew after so long, and given up after the last. */
const SEARCH_MS = [500, 1500] as const;
const EXCHANGE_MS = 4000;
const PAGE_BYTES_MAX = 64 * KIB;
const URL_LENGTH_MAX = 1024;
const SERVICES = [
  "urn:schemas-upnp-org:service:WANIPConnection:1",
  "urn:schemas-upnp-org:service:WANIPConnection:2",
  "urn:schemas-upnp-org:service:WANPPPConnection:1",
];
/** Forwards for good or not at all. */
const ONLY_FOR_GOOD = 725;
/** Not allowed, somebody else's, and in the way of something of the router's own. */
const TAKEN = [606, 718, 729];

export class UpnpGateway {
  readonly #options: UpnpOptions;
  #service: Service | undefined;

  constructor(options: UpnpOptions) {
    this.#options = options;
  }

  /** Asks for `portOutside` to be forwarded to `port` of this machine over TCP, or for more time. Undefined: there is no such router. */
  async map(port: number, portOutside: number, lifetimeSeconds: number): Promise<UpnpAnswer | undefined> {
    const service = await this.#find();
    if (service === undefined) return undefined;
    const ask = (seconds: number): Promise<UpnpAnswer | undefined> =>
      this.#run(service, "AddPortMapping", {
        ...outsideOf(portOutside),
        NewInternalPort: port,
        NewInternalClient: service.ours,
        NewEnabled: 1,
        NewPortMappingDescription: CLIENT_NAME,
        NewLeaseDuration: seconds,
      });
    const answer = await ask(lifetimeSeconds);
    return answer?.kind === "refused" && answer.code === ONLY_FOR_GOOD ? await ask(0) : answer;
  }

  async unmap(portOutside: number): Promise<void> {
    const service = await this.#find();
    if (service !== undefined) await this.#run(service, "DeletePortMapping", outsideOf(portOutside));
  }

  /** What was found is asked again; once it does not answer, the router is looked for. */
  async #find(): Promise<Service | undefined> {
    if (this.#service !== undefined && this.#service.control.hostname === this.#options.host())
      return this.#service;
    const host = this.#options.host();
    const location = host === undefined ? undefined : await this.#search(host);
    const page = location === undefined ? undefined : await this.#exchange(location);
    this.#service =
      page?.status === 200 && location !== undefined ? serviceIn(page.text, location, page.ours) : undefined;
    return this.#service;
  }

  async #run(
    service: Service,
    action: string,
    args: Readonly<Record<string, string | number>>,
  ): Promise<UpnpAnswer | undefined> {
    const list = Object.entries(args).map(([name, value]) => `<${name}>${value}</${name}>`);
    const body =
      `<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ` +
      `s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>` +
      `<u:${action} xmlns:u="${service.type}">${list.join("")}</u:${action}></s:Body></s:Envelope>\r\n`;
    const page = await this.#exchange(service.control, { action: `"${service.type}#${action}"`, body });
    if (page?.status === 200) return { kind: "mapped" };
    const code = Number(/<errorCode>\s*(\d{1,9})/i.exec(page?.text ?? "")?.[1] ?? page?.status);
    if (page === undefined || code === 404) this.#service = undefined;
    if (page === undefined) return undefined;
    return { kind: TAKEN.includes(code) ? "taken" : "refused", code };
  }

  /** Where the router describes itself. It is asked directly besides: not every network carries what is sent to a group. */
  #search(host: string): Promise<URL | undefined> {
    const { ground, over, searchPort = SEARCH_PORT } = this.#options;
    if (over.aborted) return Promise.resolve(undefined);
    const query = Buffer.from(
      `M-SEARCH * HTTP/1.1\r\nHOST: ${SEARCH_GROUP}:${SEARCH_PORT}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ${SEARCH_FOR}\r\n\r\n`,
    );
    const socket = createSocket("udp4");
    let timer: Timer | undefined;
    let ended = (): void => {};
    return new Promise<URL | undefined>((resolve) => {
      ended = () => resolve(undefined);
      over.addEventListener("abort", ended, { once: true });
      let sent = 0;
      const send = (): void => {
        const pauseMs = SEARCH_MS[sent++];
        if (pauseMs === undefined) {
          resolve(undefined);
          return;
        }
        // What cannot be sent is not answered.
        for (const to of [SEARCH_GROUP, host]) socket.send(query, searchPort, to, () => {});
        timer = ground.after(pauseMs, send);
      };
      socket.on("message", (message, { address }) => {
        const location = address === host ? locationIn(message.toString("latin1"), host) : undefined;
        if (location !== undefined) resolve(location);
      });
      socket.on("error", () => resolve(undefined));
      socket.bind(0, send);
      socket.unref();
    }).finally(() => {
      over.removeEventListener("abort", ended);
      timer?.close();
      socket.close();
    });
  }

  /** Undefined: no whole answer in time, or one that is too long. */
  #exchange(url: URL, soap?: { readonly action: string; readonly body: string }): Promise<Page | undefined> {
    const { ground, over } = this.#options;
    if (over.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const headers =
        soap === undefined
          ? {}
          : {
              "Content-Type": 'text/xml; charset="utf-8"',
              "Content-Length": Buffer.byteLength(soap.body),
              SOAPAction: soap.action,
            };
      const asked = request(url, {
        method: soap === undefined ? "GET" : "POST",
        headers: { ...headers, Connection: "close" },
        agent: false,
        signal: over,
      });
      const timer = ground.after(EXCHANGE_MS, () => asked.destroy());
      const end = (page: Page | undefined): void => {
        timer.close();
        asked.destroy();
        resolve(page);
      };
      asked.on("error", () => end(undefined));
      asked.on("close", () => end(undefined));
      asked.on("response", (response) => {
        const ours = response.socket.localAddress ?? "";
        const page = Buffer.alloc(PAGE_BYTES_MAX);
        let bytes = 0;
        response.on("error", () => end(undefined));
        response.on("data", (part: Buffer) => {
          // Copied at once: a part may be a single byte, and is an object with memory of its own.
          if (bytes + part.length > PAGE_BYTES_MAX) end(undefined);
          else bytes += part.copy(page, bytes);
        });
        response.on("end", () =>
          end({ status: response.statusCode ?? 0, text: page.toString("utf8", 0, bytes), ours }),
        );
      });
      asked.end(soap?.body);
    });
  }
}

function outsideOf(portOutside: number): Record<string, string | number> {
  return { NewRemoteHost: "", NewExternalPort: portOutside, NewProtocol: "TCP" };
}

/** Of an answer to a search: `LOCATION`, if it is of a router and at `host`. */
function locationIn(answer: string, host: string): URL | undefined {
  if (!answer.startsWith("HTTP/1.1 200") || !/^ST:.*InternetGatewayDevice/im.test(answer)) return undefined;
  const [, text = ""] = /^LOCATION:[ \t]*(\S+)/im.exec(answer) ?? [];
  return urlAt(host, text);
}

/** The first service of a description that forwards ports. */
function serviceIn(page: string, location: URL, ours: string): Service | undefined {
  const base = fieldIn(page, "URLBase") ?? "";
  for (const part of page.split(/<service>/i).slice(1)) {
    const type = fieldIn(part, "serviceType") ?? "";
    const path = fieldIn(part, "controlURL");
    if (!SERVICES.includes(type) || path === undefined) continue;
    const control = urlAt(
      location.hostname,
      path.replaceAll("&amp;", "&"),
      base === "" ? location.href : base,
    );
    if (control !== undefined) return { type, control, ours };
  }
  return undefined;
}

function fieldIn(text: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]{0,${URL_LENGTH_MAX}})</${name}>`, "i").exec(text)?.[1]?.trim();
}

/** Undefined for what is no URL of plain HTTP at `host`. */
function urlAt(host: string, text: string, base?: string): URL | undefined {
  if (text.length > URL_LENGTH_MAX || !URL.canParse(text, base)) return undefined;
  const url = new URL(text, base);
  // A user's name is nothing that a router has to say, and Node.js throws for one that it cannot decode.
  if (url.username !== "" || url.password !== "") return undefined;
  return url.protocol === "http:" && url.hostname === host ? url : undefined;
}
