// Work that is done again for whoever asks: once at a time, and once more for all who ask meanwhile, however many they are.

/** `work` must not reject. */
export function coalesce(work: () => Promise<void>): () => void {
  let isRunning = false;
  let isAsked = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    while (isAsked) {
      isAsked = false;
      await work();
    }
    isRunning = false;
  };
  return () => {
    isAsked = true;
    if (!isRunning) void run();
  };
}
