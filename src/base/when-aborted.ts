// Many who wait for one AbortSignal: a program gives all its torrents the same, and Node.js warns of more than ten listeners.
//
// Always: a signal has one listener of ours while somebody waits for it, and none when nobody does.

interface Waiting {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const waitingBySignal = new WeakMap<AbortSignal, Waiting>();

/** Calls `callback` when `signal` is aborted, in the order of the calls; not after the function that is answered was called. */
export function whenAborted(signal: AbortSignal, callback: () => void): () => void {
  const { callbacks, listener } = waitingBySignal.get(signal) ?? beginToListen(signal);
  callbacks.add(callback);
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return;
    signal.removeEventListener("abort", listener);
    waitingBySignal.delete(signal);
  };
}

function beginToListen(signal: AbortSignal): Waiting {
  const callbacks = new Set<() => void>();
  const listener = (): void => {
    for (const callback of callbacks) callback();
  };
  const waiting = { callbacks, listener };
  waitingBySignal.set(signal, waiting);
  signal.addEventListener("abort", listener, { once: true });
  return waiting;
}
