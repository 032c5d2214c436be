// A connection as the public API shows it.

import type { ConnectionStats, PeerInfo } from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import { describePeerId } from "../wire/handshake.js";

export function describePeer(peer: PeerConnection): PeerInfo {
  const { receiver, requests } = peer;
  return {
    address: { host: peer.host, port: peer.port },
    incoming: peer.incoming,
    source: peer.source,
    listenPort: peer.listenPort === 0 ? undefined : peer.listenPort,
    encrypted: peer.isEncrypted,
    client:
      peer.clientName !== "" ? peer.clientName : peer.peerId === undefined ? "" : describePeerId(peer.peerId),
    state: peer.state,
    receiveMode: receiver.mode.name,
    receiveModeNow: receiver.mode.now,
    receiveModeReason: receiver.mode.reason,
    amChoking: peer.amChoking,
    amInterested: peer.amInterested,
    peerChoking: peer.peerChoking,
    peerInterested: peer.peerInterested,
    snubbed: requests.pipeline?.snubbed === true,
    requestsOutstanding: peer.expected.count,
    requestsWanted: requests.target,
    downloadRate: peer.downloadRate,
    uploadRate: peer.uploadRate,
    pieces: peer.pieceCountKnown,
    counters: { ...peer.counters },
  };
}

export function statsOfPeer(peer: PeerConnection, nowMs: number): ConnectionStats {
  const { counters, requests } = peer;
  return {
    secondsConnected: Math.max(0, nowMs - peer.sinceMs) / 1000,
    downloadBytesPerSecond: peer.downloadRate,
    uploadBytesPerSecond: peer.uploadRate,
    downloadedBytes: counters.payloadBytes,
    uploadedBytes: counters.sentPayloadBytes,
    wastedBytes: counters.wastedBytes,
    receivedBytes: counters.receivedBytes,
    sentBytes: counters.sentBytes,
    receivedBlocks: counters.blocksReceived,
    sentBlocks: counters.blocksSent,
    receiveCalls: counters.receiveCalls,
    sendCalls: counters.sendCalls,
    requestsOutstanding: peer.expected.count,
    requestsWanted: requests.target,
    requestsOfPeer: peer.sender.blocksWaiting,
    pieces: peer.pieceCountKnown,
  };
}
