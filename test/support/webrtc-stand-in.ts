// WebRTC for clients that only tell offers and answers: nothing is ever connected.

class Rtc {
  signalingState = "stable";
  iceConnectionState = "new";
  iceGatheringState = "new";
  localDescription: object | null = null;
  remoteDescription: object | null = null;
  onicecandidate: ((event: { candidate: null }) => void) | undefined;
  createDataChannel(): object {
    return { close: () => undefined };
  }
  createOffer(): Promise<object> {
    return Promise.resolve({ type: "offer", sdp: "an offer" });
  }
  createAnswer(): Promise<object> {
    return Promise.resolve({ type: "answer", sdp: "an answer" });
  }
  setLocalDescription(description: object): Promise<void> {
    this.localDescription = description;
    setImmediate(() => this.onicecandidate?.({ candidate: null }));
    return Promise.resolve();
  }
  setRemoteDescription(description: object): Promise<void> {
    this.remoteDescription = description;
    return Promise.resolve();
  }
  getStats(): Promise<unknown[]> {
    return Promise.resolve([]);
  }
  close(): void {}
}

function described(fields: object): object {
  return fields;
}

export const WRTC = { RTCPeerConnection: Rtc, RTCSessionDescription: described, RTCIceCandidate: described };
