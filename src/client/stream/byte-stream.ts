// What a peer connection needs of the bytes below it, and the seam between policy and transport: TCP is one implementation,
// encryption over TCP, a Duplex and a simulated network are others. The pump above it (stream-pump.ts) holds every
// policy: how much one wake-up may bring, when memory is short, from how many bytes on a wake-up pays.
//
// The contract, which test/unit/client/stream/contract.ts checks over every implementation:
//
// - Bytes come out of fill() in the order in which the other side drained them, each exactly once, and lie in the entries of
//   the plan in the order of the entries. A call that returns less than the entries hold has left the stream empty.
// - fill() and drain() never throw for what the other side did, never wait, and never call back: they return bytes, 0 (fill:
//   the other side has ended and everything before was delivered; drain: never 0 for a plan with bytes), or −errno. −EAGAIN
//   is no failure: ready() tells when another call is worth it. Any other errno ends the stream for good.
// - The plan is shared by all streams of a session: it is read and written during the call only. An implementation may look
//   at, and change in place, the bytes that it just received and those it is about to send, as encryption does; it may keep
//   neither the addresses nor views of the memory.
// - ready() is called between turns only, never inside a call of ours, for events that watch() asked for, level-triggered: as
//   long as there are bytes to receive (or, with a low-water mark, so many; or the end, or an error) and READABLE is watched,
//   it is called each turn. A stream in error is both readable and writable.
// - Before the first event of an outgoing stream that is still connecting, neither fill() nor drain() is called. Its first
//   event is WRITABLE (or both, in error), and established() then says how it went.
// - close() may be called at any time, inside ready() too, and once: afterwards ready() is not called, and nothing else may
//   be called. Bytes that were drained before still reach the other side, unless they are to be discarded: then what has not left is
//   dropped, as far as that can be done, and the other side finds the stream ended or broken.

/** Told when the stream can go on. `events`: READABLE and WRITABLE bits of native/binding. */
export interface StreamHandler {
  socketReady(events: number): void;
  /**
   * `stream` does nothing any more but hand on what `below` does: true if `below` is used in its place from now on, and `stream` is let go of.
   * Told between turns, or at the end of one.
   */
  standsAside?(stream: ByteStream, below: ByteStream): boolean;
}

export interface ByteStream {
  /** True if others cannot read what goes over it, or not at first sight. */
  readonly isEncrypted?: boolean;
  /** Begins to watch for `events` and to tell `handler`. Once. Returns 0 or −errno. */
  open(handler: StreamHandler, events: number): number;
  /** Tells another handler from now on. Without it, a stream tells who opened it for good. */
  tell?(handler: StreamHandler): void;
  /** 0 if the connection stands, or −errno: why it could not be made. To be asked at the first event, once. */
  established(): number;
  /** Receives into entries `first` … of the plan. Bytes, 0 at the end of the stream, or −errno. */
  fill(first: number, count: number): number;
  /** Sends entries `first` … of the plan; `more`: other bytes follow at once. Bytes or −errno. */
  drain(first: number, count: number, more: boolean): number;
  /** Sends bytes of a file that never enter user space. Bytes, 0 if the file is shorter, or −errno. Not while it `isEncrypted`. */
  drainFile(fileFd: number, offset: number, length: number): number;
  /** Changes which events are told; 0 pauses. */
  watch(events: number): void;
  /** From how many bytes on the stream counts as readable: 1 at first. Its end and its errors are told all the same. */
  setLowWater(bytes: number): void;
  /** Bytes that were drained and that the other side has not taken yet, as far as is known; below 0: it is not. */
  unacknowledgedBytes(): number;
  /**
   * While so many bytes that were drained have not left this machine, drain() answers −EAGAIN and the stream is not WRITABLE: where the system
   * knows it. A call that it takes may be longer.
   */
  boundUnsent(bytes: number): void;
  close(discards?: boolean): void;
}
