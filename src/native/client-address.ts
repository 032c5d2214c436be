// Whose address an HTTP request has: the socket's, or what trusted proxies in front of a server say they forward for.
//
// Always: a header counts only as far as it was written by a trusted proxy. Whoever connects without one cannot speak for others.

import { BlockList, isIP } from "node:net";
import { UsageError } from "../base/errors.js";
import { addressBytes } from "../base/network-address.js";

export class ClientAddresses {
  readonly #trusted = new BlockList();
  readonly #trustsAny: boolean;

  /** `proxies`: addresses and networks, such as "127.0.0.1" and "10.0.0.0/8". Throws UsageError for what is neither. */
  constructor(proxies: readonly string[]) {
    this.#trustsAny = proxies.length > 0;
    for (const text of proxies) this.#trust(text);
  }

  /** True for a proxy of ours, through which many clients come. */
  isTrusted(host: string): boolean {
    if (!this.#trustsAny) return false;
    const bytes = addressBytes(host);
    if (bytes === undefined) return false;
    return bytes.length === 4
      ? this.#trusted.check(bytes.join("."), "ipv4")
      : this.#trusted.check(host.replace(/%.*/s, ""), "ipv6");
  }

  /**
   * The 4 or 16 bytes of the client's address: the last one that is not a trusted proxy's. `forwarded` is the header
   * x-forwarded-for. Undefined where a trusted proxy passed on something that is no address.
   */
  clientOf(remote: string, forwarded: string | undefined): Uint8Array | undefined {
    if (forwarded === undefined || !this.isTrusted(remote)) return addressBytes(remote);
    const chain = forwarded.split(",").reverse();
    for (const [index, text] of chain.entries()) {
      const host = withoutPort(text.trim());
      if (isIP(host) === 0) return undefined;
      if (index === chain.length - 1 || !this.isTrusted(host)) return addressBytes(host);
    }
    return undefined;
  }

  #trust(text: string): void {
    const [host = "", prefix, rest] = text.split("/");
    const version = isIP(host);
    const bits = version === 4 ? 32 : 128;
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
    if (version === 0 || length < 0 || length > bits || rest !== undefined)
      throw new UsageError(
        "USAGE_OPTION",
        `a trusted proxy is an address or a network such as 10.0.0.0/8, not "${text}"`,
      );
    this.#trusted.addSubnet(host, length, version === 4 ? "ipv4" : "ipv6");
  }
}

/** Some proxies write "1.2.3.4:5678" and "[::1]:5678". */
function withoutPort(text: string): string {
  return (
    /^(?:\[([^\]]*)\](?::\d+)?|([^:]*):\d+)$/
      .exec(text)
      ?.slice(1)
      .find((host) => host !== undefined) ?? text
  );
}
