// IP addresses as 4 or 16 bytes in network order, and as text. Pure: names are not looked up, and an address that is
// none gives undefined.

/** The 4 bytes of an IPv4 address, the 16 of an IPv6 address; undefined for anything else. A zone (%eth0) is ignored. */
export function compactAddress(host: string): Uint8Array | undefined {
  return host.includes(":") ? compactIpv6(host) : compactIpv4(host);
}

/** The text of 4 or 16 bytes, IPv6 without abbreviation ("2001:db8:0:0:0:0:0:1"); undefined for other lengths. */
export function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const groups: string[] = [];
  for (let index = 0; index < 16; index += 2) groups.push(view.getUint16(index).toString(16));
  return groups.join(":");
}

function compactIpv4(host: string): Uint8Array | undefined {
  const parts = host.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[index] = Number(part);
  }
  return bytes;
}

function compactIpv6(host: string): Uint8Array | undefined {
  const halves = (host.split("%", 1)[0] ?? "").split("::");
  if (halves.length > 2) return undefined;
  const head = groupBytes(halves[0] ?? "", halves.length === 1);
  const tail = groupBytes(halves[1] ?? "", true);
  if (head === undefined || tail === undefined) return undefined;
  const length = head.length + tail.length;
  // "::" stands for at least one group; without it all eight are written.
  if (halves.length === 2 ? length > 14 : length !== 16) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of "20:db8:1.2.3.4"; the dotted form may stand at the end of an address only. */
function groupBytes(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >>> 8, value & 0xff);
      continue;
    }
    const dotted = isEnd && index === groups.length - 1 ? compactIpv4(group) : undefined;
    if (dotted === undefined) return undefined;
    bytes.push(...dotted);
  }
  return bytes;
}
