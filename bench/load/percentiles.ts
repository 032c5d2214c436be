// Percentiles as load testers of trackers print them.

const SHARES = [10, 25, 50, 75, 90, 95, 99, 99.9, 100] as const;

/** {"p10": …, "p99.9": …} of whole numbers; all 0 if there are none. */
export function percentiles(values: readonly number[]): Record<string, number> {
  const sorted = [...values].sort((a, b) => a - b);
  return Object.fromEntries(
    SHARES.map((share) => {
      const index = Math.max(0, Math.ceil((share / 100) * sorted.length) - 1);
      return [`p${share}`, roundUp(sorted[index] ?? 0)];
    }),
  );
}

/** The same of counts, leaving out those that are 0, without a copy of them: for whoever has millions, and something else to do. */
export function percentilesOfCounts(counts: Uint32Array): Record<string, number> {
  let most = 0;
  for (const count of counts) if (count > most) most = count;
  const times = new Uint32Array(most + 1);
  for (const count of counts) times[count] = (times[count] ?? 0) + 1;
  const total = counts.length - (times[0] ?? 0);
  let value = 0;
  let seen = 0;
  return Object.fromEntries(
    SHARES.map((share) => {
      const wanted = Math.max(1, Math.ceil((share / 100) * total));
      while (seen < wanted && value < most) seen += times[++value] ?? 0;
      return [`p${share}`, roundUp(value)];
    }),
  );
}

/** Two digits that count, as a histogram of that precision keeps them: the highest value that looks the same. */
function roundUp(value: number): number {
  if (value < 256) return value;
  const step = 2 ** (Math.floor(Math.log2(value)) - 7);
  return Math.floor(value / step) * step + step - 1;
}
