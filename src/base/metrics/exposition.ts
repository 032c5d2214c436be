// Prometheus' text format, version 0.0.4. What the house counts are plain numbers that are there anyway: a library that keeps metrics
// would hold each a second time, so that text is all that is needed.
//
// Always: each name is told once, with its help and its type, before its samples. Names, labels and help are the caller's, and fixed:
// nothing in them may come from outside.

export type Labels = Readonly<Record<string, string>>;

export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export class Exposition {
  text = "";
  readonly #prefix: string;

  /** `prefix` comes before each name: "scatterwire_tracker_". */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  metric(name: string, type: "counter" | "gauge", help: string, samples: readonly [Labels, number][]): void {
    const full = this.#prefix + name;
    this.text += `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`;
    for (const [labels, value] of samples) {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      this.text += `${full}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
    }
  }
}

/** "tooManyConnections" as "too_many_connections". */
export function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
