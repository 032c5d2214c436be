// Figures of sessions in a Prometheus registry that the program passes. The registry is prom-client's, or any with its two methods: what is
// registered are objects with `get()`, as its own metrics are, so that nothing is loaded, and nothing counted a second time.
//
// Always: figures are read when they are scraped and at no other time; sessions that share a registry are summed; what a closed session had
// counted stays in the sums until the last of them is closed, when all goes from the registry. Names and labels are fixed.

import { UsageError } from "../../base/errors.js";
import type { MetricsRegistry, SessionStats } from "../options.js";

/** What is read of a session. */
export interface MetricsSource {
  stats(): SessionStats;
  /** How many torrents are in which state. */
  torrentStates(): ReadonlyMap<string, number>;
  /** Pieces that failed their check, of all torrents that ever were here. */
  readonly piecesFailedTotal: number;
}

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
}

interface Description {
  readonly type: "counter" | "gauge";
  readonly help: string;
  samples(sums: Sums): Sample[];
}

/** Sums over the sessions of a registry. */
interface Sums {
  readonly stats: Record<keyof SessionStats, number>;
  readonly states: Map<string, number>;
  piecesFailedTotal: number;
}

const COUNTED = ["downloadedBytes", "uploadedBytes", "wastedBytes"] as const;

const plain = (value: number): Sample[] => [{ value, labels: {} }];
const gauge = (help: string, name: keyof SessionStats): Description => ({
  type: "gauge",
  help,
  samples: ({ stats }) => plain(stats[name]),
});
const counter = (help: string, name: (typeof COUNTED)[number]): Description => ({
  type: "counter",
  help,
  samples: ({ stats }) => plain(stats[name]),
});

/** All that is registered: name without its prefix, and what it says. */
const METRICS: Readonly<Record<string, Description>> = {
  torrents: {
    type: "gauge",
    help: "Torrents, by state.",
    samples: ({ states }) => [...states].map(([state, value]) => ({ value, labels: { state } })),
  },
  connections: gauge("Connections that are open or being made.", "connections"),
  connections_begun: gauge("Connections whose handshakes are not over.", "connectionsBegun"),
  downloaded_bytes_total: counter("Bytes of blocks that came.", "downloadedBytes"),
  uploaded_bytes_total: counter("Bytes of blocks that were sent.", "uploadedBytes"),
  wasted_bytes_total: counter("Bytes of blocks that came and nobody wanted any more.", "wastedBytes"),
  pieces_failed_total: {
    type: "counter",
    help: "Pieces that failed their check.",
    samples: ({ piecesFailedTotal }) => plain(piecesFailedTotal),
  },
  pool_bytes: gauge("Memory that blocks live in.", "poolBytes"),
  pool_free_bytes: gauge("What of it is free.", "poolBytesFree"),
  pool_waiters: gauge("Connections and others that wait for memory.", "poolWaiters"),
  ports_mapped: gauge("Ports that a router lets peers through to.", "portsMapped"),
  jobs: gauge("Reads, writes and digests that other threads have.", "jobsUnderWay"),
};
const PREFIX = "scatterwire_";

/** The sessions that a registry shows. */
const ofRegistries = new WeakMap<MetricsRegistry, RegistryMetrics>();

/** Shows `session` in `registry`. Returns how to end that. Throws UsageError `USAGE_OPTION` if the registry has other metrics of these names. */
export function showIn(registry: MetricsRegistry, session: MetricsSource): () => void {
  let metrics = ofRegistries.get(registry);
  if (metrics === undefined) {
    metrics = new RegistryMetrics(registry);
    ofRegistries.set(registry, metrics);
  }
  metrics.add(session);
  return () => metrics.remove(session);
}

class RegistryMetrics {
  readonly #registry: MetricsRegistry;
  readonly #sessions = new Set<MetricsSource>();
  /** What closed sessions had counted. */
  #ended = zero();

  constructor(registry: MetricsRegistry) {
    this.#registry = registry;
  }

  add(session: MetricsSource): void {
    if (this.#sessions.size === 0) this.#register();
    this.#sessions.add(session);
  }

  remove(session: MetricsSource): void {
    if (!this.#sessions.delete(session)) return;
    if (this.#sessions.size === 0) {
      for (const name of Object.keys(METRICS)) this.#registry.removeSingleMetric(PREFIX + name);
      this.#ended = zero();
      return;
    }
    const stats = session.stats();
    for (const name of COUNTED) this.#ended.stats[name] += stats[name];
    this.#ended.piecesFailedTotal += session.piecesFailedTotal;
  }

  #register(): void {
    const registered: string[] = [];
    try {
      for (const [name, description] of Object.entries(METRICS)) {
        this.#registry.registerMetric(this.#metricOf(PREFIX + name, description) as never);
        registered.push(PREFIX + name);
      }
    } catch (error) {
      for (const name of registered) this.#registry.removeSingleMetric(name);
      throw new UsageError("USAGE_OPTION", `the registry does not take the metrics: ${String(error)}`, {
        cause: error,
      });
    }
  }

  /** What prom-client asks of a metric. */
  #metricOf(name: string, { type, help, samples }: Description): object {
    return {
      name,
      help,
      type,
      get: async () => ({ name, help, type, values: samples(this.#sums()), aggregator: "sum" }),
      // Registry.resetMetrics(): what we count is not the registry's to set back.
      reset: () => {},
    };
  }

  #sums(): Sums {
    const sums = zero();
    for (const name of COUNTED) sums.stats[name] = this.#ended.stats[name];
    sums.piecesFailedTotal = this.#ended.piecesFailedTotal;
    for (const session of this.#sessions) {
      for (const [name, value] of Object.entries(session.stats()))
        sums.stats[name as keyof SessionStats] += value;
      for (const [state, count] of session.torrentStates())
        sums.states.set(state, (sums.states.get(state) ?? 0) + count);
      sums.piecesFailedTotal += session.piecesFailedTotal;
    }
    return sums;
  }
}

function zero(): Sums {
  const stats: Record<keyof SessionStats, number> = {
    torrents: 0,
    connections: 0,
    connectionsBegun: 0,
    downloadBytesPerSecond: 0,
    uploadBytesPerSecond: 0,
    downloadedBytes: 0,
    uploadedBytes: 0,
    wastedBytes: 0,
    poolBytes: 0,
    poolBytesFree: 0,
    poolWaiters: 0,
    portsMapped: 0,
    jobsUnderWay: 0,
  };
  return { stats, states: new Map(), piecesFailedTotal: 0 };
}
