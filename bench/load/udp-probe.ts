// One announce over UDP as a client makes it: connect, then announce, each sent again after a second without an answer. From a port
// of its own each time.

import { createSocket, type Socket } from "node:dgram";
import {
  ACTION_ANNOUNCE,
  TRANSACTION_AT,
  writeAnnounceRequest,
  writeConnectRequest,
} from "../../src/tracker/protocol/udp.js";

const AGAIN_MS = 1000;
const ANNOUNCE_BYTES = 98;

/** `onRepeat`: a request is sent again. Resolves with "stopped" if the signal aborts first. */
export async function probeUdp(
  port: number,
  signal: AbortSignal,
  onRepeat: () => void,
): Promise<"answered" | "refused" | "stopped"> {
  const socket = createSocket("udp4");
  try {
    const request = new DataView(new ArrayBuffer(ANNOUNCE_BYTES));
    const length = writeConnectRequest(request, 0, 1);
    const connect = new Uint8Array(request.buffer, 0, length);
    const id = await ask(socket, port, connect, signal, onRepeat);
    if (id === undefined) return "stopped";
    const hash = new Uint8Array(20).fill(0, 0, 19);
    hash[19] = 0xff;
    writeAnnounceRequest(request, 0, id.readUInt32BE(8), id.readUInt32BE(12), 2, {
      infoHash: hash,
      peerId: hash,
      downloaded: 0,
      left: 1,
      uploaded: 0,
      event: 0,
      ip: 0,
      key: 0,
      numWant: 10,
      port: 2,
    });
    const answer = await ask(socket, port, new Uint8Array(request.buffer), signal, onRepeat);
    if (answer === undefined) return "stopped";
    return answer.readUInt32BE(0) === ACTION_ANNOUNCE ? "answered" : "refused";
  } finally {
    socket.close();
  }
}

async function ask(
  socket: Socket,
  port: number,
  request: Uint8Array,
  signal: AbortSignal,
  onRepeat: () => void,
): Promise<Buffer | undefined> {
  while (!signal.aborted) {
    const answer = await new Promise<Buffer | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), AGAIN_MS);
      socket.on("message", (message) => {
        // Late answers to what was asked before, and asked again, are nothing to wait for.
        if (!message.subarray(4, 8).equals(request.subarray(TRANSACTION_AT, TRANSACTION_AT + 4))) return;
        clearTimeout(timer);
        resolve(message);
      });
      socket.send(request, port, "127.0.0.1");
    });
    socket.removeAllListeners("message");
    if (answer !== undefined) return answer;
    onRepeat();
  }
  return undefined;
}
