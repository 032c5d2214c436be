// A MessageHandler that notes its calls as ["name", arguments…]; bytes as hex.

import type { MessageHandler } from "../../../../src/client/wire/decode.js";

export function recordMessages(): { handler: MessageHandler; calls: unknown[][] } {
  const calls: unknown[][] = [];
  const note =
    (name: string) =>
    (...values: number[]) =>
      void calls.push([name, ...values]);
  const hex = (bytes: Uint8Array, at: number, length: number) =>
    Buffer.from(bytes.subarray(at, at + length)).toString("hex");
  const handler: MessageHandler = {
    onChoke: note("choke"),
    onUnchoke: note("unchoke"),
    onInterested: note("interested"),
    onNotInterested: note("notInterested"),
    onHave: note("have"),
    onBitfield: (bytes, at, length) => void calls.push(["bitfield", hex(bytes, at, length)]),
    onRequest: note("request"),
    onCancel: note("cancel"),
    onPort: note("port"),
    onSuggest: note("suggest"),
    onHaveAll: note("haveAll"),
    onHaveNone: note("haveNone"),
    onReject: note("reject"),
    onAllowedFast: note("allowedFast"),
    onExtended: (id, bytes, at, length) => void calls.push(["extended", id, hex(bytes, at, length)]),
    onUnknown: note("unknown"),
  };
  return { handler, calls };
}
