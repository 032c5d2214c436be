// A port of the router, forwarded to us, so that peers from outside can connect: asked for by PCP, NAT-PMP or UPnP. It is
// renewed while the session runs, and given back when it closes.
//
//   asking ──PCP──▶ ──NAT-PMP──▶ ──UPnP──▶ failed: said once, and asked again after RETRY_MS
//      ▲  └───────────┴────────────┴──▶ mapped ──half of its lifetime──┐
//      └──────────────────────────────────────────────────────────────┘
//
// Of an IPv6 address nothing is forwarded: what is asked for is that the router lets peers through to it, and PCP alone can say that.
//
// Always: nobody waits for a router but close(), and that for CLOSE_MS at the most, after which no timer and no socket is left; a datagram
// counts only from the router that was asked. Whatever goes wrong while one is asked is a failure like any other: nobody else would hear of it.
// What speaks UPnP (upnp-gateway.ts) is loaded when the other two have failed.

import { createSocket, type Socket } from "node:dgram";
import type { Ground, Timer } from "../../base/ground.js";
import type { MappedPort } from "../options.js";
import {
  decodeAnswer,
  encodeRequest,
  type GatewayAnswer,
  type MappingRequest,
  NAT_PMP_VERSION,
  NONCE_BYTES,
  PCP_VERSION,
} from "./gateway-messages.js";
import type { UpnpAnswer } from "./upnp-gateway.js";

/** A router that does UPnP (upnp-gateway.ts). */
export interface UpnpClient {
  map(port: number, portOutside: number, lifetimeSeconds: number): Promise<UpnpAnswer | undefined>;
  unmap(portOutside: number): Promise<void>;
}

export interface PortMappingOptions {
  readonly ground: Ground;
  /** Where the router is asked; undefined: nobody knows of one. */
  readonly gateway: () => { readonly host: string; readonly port: number } | undefined;
  /** Numeric IPv6 address that the router is to let peers through to; undefined: a port of IPv4 is forwarded. */
  readonly address?: string;
  /** Loaded when the other two have failed. Once `over` is aborted the client has nothing under way, and begins nothing. */
  readonly loadUpnp: (over: AbortSignal) => Promise<UpnpClient>;
  readonly warn: (text: string) => void;
  /** There is a mapping, or another one than before. */
  readonly mapped?: (mapping: MappedPort) => void;
}

const LIFETIME_S = 7200;
const LIFETIME_S_MIN = 120;
/** A request is sent anew after so long, which doubles; and given up with the last. */
const RESEND_MS = [250, 500, 1000, 2000] as const;
const UPNP_MS = 15_000;
/** Somebody else may have the port of the router that we ask UPnP for; then it is another one, of those that nobody keeps for itself. */
const UPNP_PORTS = 3;
const PORT_MIN = 49_152;
const PORTS = 65_536 - PORT_MIN;
const RETRY_MS = 15 * 60_000;
const CLOSE_MS = 1000;

export class PortMapping {
  readonly #options: PortMappingOptions;
  /** Nothing is asked for any more, but what is mapped is given back; and then, not even that. */
  readonly #end = new AbortController();
  readonly #over = new AbortController();
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  #port: number | undefined;
  #mapping: MappedPort | undefined;
  /** What brought the mapping: a version, or UPnP. */
  #by: number | "UPnP" | undefined;
  #upnp: UpnpClient | undefined;
  /** What UPnP is asked now, or was asked last: it goes on when nobody waits for it any more. */
  #upnpAsking: Promise<unknown> = Promise.resolve();
  /** The port outside that UPnP was asked for last, and may have given. */
  #upnpOutside: number | undefined;
  /** The version of a request that the router may have granted, and we have not heard of it. */
  #unheard: number | undefined;
  #timer: Timer | undefined;
  #asking: Promise<void> = Promise.resolve();
  #hasWarned = false;

  constructor(options: PortMappingOptions) {
    this.#options = options;
    options.ground.fillRandom(this.#nonce, 0);
  }

  /** What is mapped, if anything is. */
  get mapping(): MappedPort | undefined {
    return this.#mapping;
  }

  /** The port at which we are reached from outside; undefined: none is mapped. */
  get portOutside(): number | undefined {
    return this.#mapping?.portOutside;
  }

  /** Asks for `port`; at once, and again for as long as it is open. What was mapped before is given back. */
  map(port: number): void {
    if (this.#end.signal.aborted || this.#port === port) return;
    const before = this.#port;
    this.#port = port;
    this.#asking = this.#asking.then(async () => {
      if (before !== undefined) await this.#giveBack(before).catch(() => {});
      await this.#ask();
    });
  }

  /** The mapping is given back. Resolves when the router has heard it, or CLOSE_MS later. */
  async close(): Promise<void> {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    this.#timer?.close();
    const { ground } = this.#options;
    const port = this.#port;
    if (port === undefined) return;
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = ground.after(CLOSE_MS, resolve);
    });
    const givenBack = this.#asking
      .then(() => this.#giveBack(port))
      .then(() => this.#upnpAsking)
      .catch(() => {});
    try {
      await Promise.race([givenBack, late]);
    } finally {
      timer?.close();
      this.#over.abort();
    }
  }

  async #ask(): Promise<void> {
    const port = this.#port;
    if (port === undefined || this.#end.signal.aborted) return;
    try {
      await this.#askAll(port);
    } catch (error) {
      this.#by = undefined;
      this.#failed(error instanceof Error ? error.message : String(error));
    }
  }

  async #askAll(port: number): Promise<void> {
    if (this.#by === "UPnP" && (await this.#askUpnp(port))) return;
    if (this.#end.signal.aborted) return;
    let why = "no router is known";
    if (this.#options.gateway() !== undefined) {
      const answer = await this.#askGateway(port, this.portOutside ?? port, LIFETIME_S);
      if (answer?.kind === "mapped") {
        this.#mapped(port, answer.portOutside, answer.lifetimeSeconds);
        return;
      }
      why =
        answer?.kind === "refused" ? `the router refuses it (${answer.code})` : "the router does not answer";
    }
    if (this.#end.signal.aborted) return;
    if (this.#options.address === undefined && (await this.#askUpnp(port))) return;
    this.#failed(why);
  }

  #mapped(port: number, portOutside: number, lifetimeSeconds: number): void {
    const { address: host, mapped } = this.#options;
    const family = host === undefined ? 4 : 6;
    const before = this.#mapping;
    const protocol = this.#by === "UPnP" ? "UPnP" : this.#by === PCP_VERSION ? "PCP" : "NAT-PMP";
    this.#mapping = { family, host, port, portOutside, protocol };
    this.#hasWarned = false;
    const isOther = before?.port !== port || before.portOutside !== portOutside;
    if (isOther && !this.#end.signal.aborted) mapped?.(this.#mapping);
    const seconds = Math.min(LIFETIME_S, Math.max(LIFETIME_S_MIN, lifetimeSeconds));
    this.#again((1000 * seconds) / 2);
  }

  #failed(why: string): void {
    this.#mapping = undefined;
    if (this.#end.signal.aborted) return;
    const { address, warn } = this.#options;
    const what = `port ${this.#port} ${address === undefined ? "" : `of ${address} `}is not mapped: ${why}`;
    const also = address === undefined ? ", and UPnP has none either" : "";
    if (!this.#hasWarned) warn(`${what}${also}; peers from outside may not reach us`);
    this.#hasWarned = true;
    this.#again(RETRY_MS);
  }

  #again(ms: number): void {
    this.#timer?.close();
    if (this.#end.signal.aborted) return;
    this.#timer = this.#options.ground.after(ms, () => {
      this.#asking = this.#asking.then(() => this.#ask());
    });
    this.#timer.unref();
  }

  /** PCP, and NAT-PMP where that is not spoken. Undefined: silence. */
  async #askGateway(
    port: number,
    portOutside: number,
    lifetimeSeconds: number,
  ): Promise<GatewayAnswer | undefined> {
    let last: GatewayAnswer | undefined;
    const all = this.#options.address === undefined ? [PCP_VERSION, NAT_PMP_VERSION] : [PCP_VERSION];
    for (const version of typeof this.#by === "number" ? [this.#by] : all) {
      this.#unheard = version;
      const answer = await this.#exchange(version, port, portOutside, lifetimeSeconds);
      // One that is silent to all that it was sent has granted nothing; where we stopped listening it may have.
      if (answer !== undefined || !this.#end.signal.aborted) this.#unheard = undefined;
      if (answer?.kind === "mapped") {
        this.#by = version;
        return answer;
      }
      if (answer?.kind === "refused") last = answer;
      if (this.#end.signal.aborted) break;
    }
    // Whatever brought it before: next time all are asked.
    if (!this.#end.signal.aborted) this.#by = undefined;
    return last;
  }

  /** One request, sent until it is answered or given up. Undefined: it was not answered. */
  #exchange(
    version: number,
    port: number,
    portOutside: number,
    lifetimeSeconds: number,
  ): Promise<GatewayAnswer | undefined> {
    const { ground, gateway, address } = this.#options;
    const at = gateway();
    // While a mapping is given back, that nothing is asked for any more is no reason to stop.
    const end = lifetimeSeconds > 0 ? this.#end.signal : this.#over.signal;
    if (at === undefined || end.aborted) return Promise.resolve(undefined);
    const socket: Socket = createSocket(address === undefined ? "udp4" : "udp6");
    let timer: Timer | undefined;
    let ended = (): void => {};
    return new Promise<GatewayAnswer | undefined>((resolve) => {
      let request: MappingRequest | undefined;
      let sent = 0;
      const send = (): void => {
        const pauseMs = RESEND_MS[sent++];
        if (pauseMs === undefined || request === undefined) {
          resolve(undefined);
          return;
        }
        socket.send(encodeRequest(version, request), () => {});
        timer = ground.after(pauseMs, send);
      };
      socket.on("message", (message) => {
        const answer = request === undefined ? undefined : decodeAnswer(version, request, message);
        if (answer !== undefined) resolve(answer);
      });
      // Nobody listens there, or there is no way there.
      socket.on("error", () => resolve(undefined));
      ended = () => resolve(undefined);
      end.addEventListener("abort", ended, { once: true });
      socket.on("connect", () => {
        const from = socket.address().address;
        request = { port, portOutside, lifetimeSeconds, nonce: this.#nonce, from };
        send();
      });
      // Connected: only what comes from there is heard. A router is asked for an address of IPv6 from that address.
      if (address === undefined) socket.connect(at.port, at.host);
      else socket.bind({ address, port: 0 }, () => socket.connect(at.port, at.host));
      socket.unref();
    }).finally(() => {
      end.removeEventListener("abort", ended);
      timer?.close();
      socket.close();
    });
  }

  async #askUpnp(port: number): Promise<boolean> {
    const { ground, loadUpnp } = this.#options;
    let timer: Timer | undefined;
    let ended = (): void => {};
    try {
      this.#upnp ??= await loadUpnp(this.#over.signal);
      this.#by = "UPnP";
      const late = new Promise<undefined>((resolve) => {
        timer = ground.after(UPNP_MS, () => resolve(undefined));
        timer.unref();
        ended = () => resolve(undefined);
        this.#end.signal.addEventListener("abort", ended, { once: true });
      });
      const mapped = this.#mapByUpnp(this.#upnp, port);
      this.#upnpAsking = mapped;
      const outside = await Promise.race([mapped, late]);
      if (outside === undefined) {
        if (!this.#end.signal.aborted) this.#by = undefined;
        return false;
      }
      this.#mapped(port, outside, LIFETIME_S);
      return true;
    } finally {
      this.#end.signal.removeEventListener("abort", ended);
      timer?.close();
    }
  }

  /** The port outside. Undefined: there is no such router, or it gives none. */
  async #mapByUpnp(client: UpnpClient, port: number): Promise<number | undefined> {
    const { ground } = this.#options;
    let portOutside = this.portOutside ?? port;
    for (let tries = 0; tries < UPNP_PORTS && !this.#end.signal.aborted; tries++) {
      this.#upnpOutside = portOutside;
      const answer = await client.map(port, portOutside, LIFETIME_S);
      if (answer?.kind === "mapped" && this.#end.signal.aborted) await client.unmap(portOutside);
      else if (answer?.kind === "mapped") return portOutside;
      this.#upnpOutside = undefined;
      if (answer?.kind !== "taken") return undefined;
      portOutside = PORT_MIN + Math.trunc(ground.random() * PORTS);
    }
    return undefined;
  }

  async #giveBack(port: number): Promise<void> {
    const by = this.#by ?? this.#unheard;
    this.#mapping = undefined;
    this.#by = undefined;
    // For both protocols a wish for port 0 goes with taking back.
    if (typeof by === "number") await this.#exchange(by, port, 0, 0);
    const upnpOutside = this.#upnpOutside;
    this.#upnpOutside = undefined;
    if (upnpOutside !== undefined) await this.#upnp?.unmap(upnpOutside);
  }
}
