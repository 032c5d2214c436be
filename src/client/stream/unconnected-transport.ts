// The transport of a connection that could not even be begun: no socket, nothing to send to.

import type { PeerTransport } from "../peer/peer-options.js";

export class UnconnectedTransport implements PeerTransport {
  writev(): number {
    return 0;
  }

  sendfile(): number {
    return 0;
  }

  wantWritable(): void {}

  scheduleFlush(): void {}

  boundUnsent(): void {}

  wakeForAny(): void {}

  setThrottle(): void {}

  mayPass(): void {}

  unacknowledgedBytes(): number {
    return 0;
  }

  close(): void {}
}
