// What both sides say when a connection opens. The peer's handshake names the torrent that it wants. We say a handshake (BEP 3), which
// pieces we have (BEP 3, 6), and what we can (BEP 10).

import { PeerError } from "../../base/errors.js";
import { HANDSHAKE_BYTES, REQUEST_QUEUE_ANNOUNCED } from "../../base/limits.js";
import type { PeerExtensions } from "../extensions/peer-extensions.js";
import { encodeExtensionHandshake } from "../wire/extension.js";
import { encodeHandshake, type Handshake } from "../wire/handshake.js";
import { MessageId } from "../wire/messages.js";
import type { PeerConnection } from "./peer-connection.js";
import type { Swarm, SwarmDirectory } from "./swarm.js";

/**
 * The torrent that a peer's handshake is for: `own`, that of an outgoing connection, or one of the directory. Throws PeerError for
 * another one, one that is not here, and a handshake of our own.
 */
export function swarmOf(handshake: Handshake, own: Swarm | undefined, directory: SwarmDirectory): Swarm {
  if (areEqual(handshake.peerId, directory.peerId))
    throw new PeerError("PEER_SELF", "connected to ourselves");
  const swarm = own ?? directory.findSwarm(handshake.infoHash);
  if (swarm === undefined)
    throw new PeerError("PEER_UNKNOWN_INFO_HASH", `no torrent ${hexOf(handshake.infoHash)} here`);
  if (areEqual(handshake.infoHash, swarm.infoHash)) return swarm;
  throw new PeerError("PEER_INFO_HASH_MISMATCH", "the peer answered for another torrent", {
    expected: hexOf(swarm.infoHash),
    received: hexOf(handshake.infoHash),
  });
}

export function sayHandshake(peer: PeerConnection, swarm: Swarm, directory: SwarmDirectory): void {
  const { outbox } = peer.sender;
  const at = outbox.reserve(HANDSHAKE_BYTES);
  encodeHandshake(outbox.bytes, at, {
    infoHash: swarm.infoHash,
    peerId: directory.peerId,
    dht: swarm.dhtPort !== 0,
  });
  peer.write.wrote(HANDSHAKE_BYTES);
}

/** Which pieces we have, as the first message: a bitfield, or what stands for one with the Fast extension. */
export function sayPieces(peer: PeerConnection, swarm: Swarm): void {
  const { layout } = swarm;
  // Who is shown our pieces one by one begins with none.
  const have = peer.revealed ?? swarm.have;
  const isFull = layout !== undefined && have.isFull;
  if (peer.fast && (isFull || have.count === 0))
    peer.write.empty(isFull ? MessageId.haveAll : MessageId.haveNone);
  else if (have.count > 0) peer.write.bitfield(have.toBytes());
}

/** What we can, and who we are: when the connection opens, and whenever it has changed. */
export function sayExtensionHandshake(
  peer: PeerConnection,
  swarm: Swarm,
  extensions: PeerExtensions<PeerConnection>,
  listenPort: number,
  clientName: string,
): void {
  const handshake = encodeExtensionHandshake({
    m: extensions.ourIds,
    v: clientName,
    reqq: REQUEST_QUEUE_ANNOUNCED,
    p: listenPort,
    metadataSize: swarm.info?.length,
    uploadOnly: swarm.isUploadOnly,
    yourip: peer.host,
    more: extensions.handshakeFields,
  });
  extensions.isHandshakeDue = false;
  peer.write.extended(0, handshake);
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
