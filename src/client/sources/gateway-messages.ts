// What a router is asked for a port, and what it answers: PCP (RFC 6887), and NAT-PMP (RFC 6886), which is older, at the same port.
//
//   PCP      version 2 │ opcode 1 │ 0 0 │ lifetime │ our address (16) ║ nonce (12) │ protocol │ 0 0 0 │ port │ port outside │ address outside (16)
//   NAT-PMP  version 0 │ opcode 2 │ 0 0 │ port │ port outside │ lifetime
//
// Always: pure functions over bytes. An answer counts only if it is whole, of the version that was asked, and about the port that was asked
// for; PCP's repeats our nonce besides. A lifetime of 0 takes a mapping back.

import { addressBytes } from "../../base/network-address.js";

export const PCP_VERSION = 2;
export const NAT_PMP_VERSION = 0;
export const NONCE_BYTES = 12;
const PROTOCOL_TCP = 6;
const PCP_BYTES = 60;
const NAT_PMP_REQUEST_BYTES = 12;
const NAT_PMP_ANSWER_BYTES = 16;
/** The shortest that says anything: version, opcode, result. */
const ANSWER_BYTES_MIN = 4;
const OPCODE_MAP = 1;
const OPCODE_MAP_TCP = 2;
const ANSWER_BIT = 128;
const PCP = {
  lifetime: 4,
  address: 8,
  nonce: 24,
  protocol: 36,
  port: 40,
  portOutside: 42,
  addressOutside: 44,
};

export interface MappingRequest {
  readonly port: number;
  /** What we should like it to be, or have already. */
  readonly portOutside: number;
  readonly lifetimeSeconds: number;
  readonly nonce: Uint8Array;
  /** Numeric address that the request comes from; NAT-PMP knows IPv4 only. */
  readonly from: string;
}

export type GatewayAnswer =
  | { readonly kind: "mapped"; readonly portOutside: number; readonly lifetimeSeconds: number }
  /** A result code of the protocol, above 0. */
  | { readonly kind: "refused"; readonly code: number }
  /** It speaks another version only. */
  | { readonly kind: "other version" };

export function encodeRequest(version: number, request: MappingRequest): Uint8Array {
  const isPcp = version === PCP_VERSION;
  const bytes = new Uint8Array(isPcp ? PCP_BYTES : NAT_PMP_REQUEST_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = version;
  if (!isPcp) {
    bytes[1] = OPCODE_MAP_TCP;
    view.setUint16(4, request.port);
    view.setUint16(6, request.portOutside);
    view.setUint32(8, request.lifetimeSeconds);
    return bytes;
  }
  bytes[1] = OPCODE_MAP;
  view.setUint32(PCP.lifetime, request.lifetimeSeconds);
  const from = addressBytes(request.from) ?? new Uint8Array(4);
  bytes.set(asV6(from), PCP.address);
  bytes.set(request.nonce, PCP.nonce);
  bytes[PCP.protocol] = PROTOCOL_TCP;
  view.setUint16(PCP.port, request.port);
  view.setUint16(PCP.portOutside, request.portOutside);
  // No address, of the kind that the mapping is for: the router chooses.
  bytes.set(asV6(new Uint8Array(from.length)), PCP.addressOutside);
  return bytes;
}

/** Undefined for what is no answer to this request. */
export function decodeAnswer(
  version: number,
  { port, nonce, lifetimeSeconds }: MappingRequest,
  bytes: Uint8Array,
): GatewayAnswer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < ANSWER_BYTES_MIN || (view.getUint8(1) & ANSWER_BIT) === 0) return undefined;
  if (view.getUint8(0) !== version) return { kind: "other version" };
  const isPcp = version === PCP_VERSION;
  const code = isPcp ? view.getUint8(3) : view.getUint16(2);
  // Some repeat no more than the head of what they refuse.
  if (code === 1) return { kind: "other version" };
  if (bytes.length < (isPcp ? PCP_BYTES : NAT_PMP_ANSWER_BYTES))
    return code === 0 ? undefined : { kind: "refused", code };
  if (view.getUint16(isPcp ? PCP.port : 8) !== port) return undefined;
  if (isPcp && !nonce.every((byte, at) => bytes[PCP.nonce + at] === byte)) return undefined;
  if (code !== 0) return { kind: "refused", code };
  const portOutside = view.getUint16(isPcp ? PCP.portOutside : 10);
  // Nobody can connect to port 0, which trackers would be told; only where a mapping was taken back it means nothing.
  if (portOutside === 0 && lifetimeSeconds > 0) return undefined;
  return {
    kind: "mapped",
    portOutside,
    lifetimeSeconds: view.getUint32(isPcp ? PCP.lifetime : 12),
  };
}

/** An IPv4 address as one of IPv6, and one of IPv6 as it is. */
function asV6(address: Uint8Array): Uint8Array {
  if (address.length === 16) return address;
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  bytes.set(address, 12);
  return bytes;
}
