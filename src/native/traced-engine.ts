// An engine whose jobs are noted in a timeline: what other threads were given, from the moment they were given it until the loop heard of its
// end. It looks at the tables that the loop and the addon share, so that the queue of jobs knows nothing of it.

import { entryOf } from "../base/assert.js";
import { JOB_HEADER_WORDS, JobKind, type NativeBinding, type NativeEngine } from "./binding.js";

/** Who is told of jobs; a Timeline is one. `id` names a job among those under way. */
export interface JobTrace {
  begin(id: number, name: string, args: object): void;
  end(id: number, name: string, args: object): void;
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(JobKind).map(([name, kind]) => [kind, name]),
);
/** Words of a pair (address, length); of digestFiles a stretch is two pairs, whose second begins with the length. */
const PAIR_WORDS = 2;

/** The binding, with engines whose jobs are noted. */
export function tracedBinding(binding: NativeBinding, trace: JobTrace): NativeBinding {
  return Object.assign(Object.create(binding) as NativeBinding, {
    createEngine: (options: Parameters<NativeBinding["createEngine"]>[0]) =>
      traceJobs(binding.createEngine(options), trace),
  });
}

function traceJobs(engine: NativeEngine, trace: JobTrace): NativeEngine {
  const underWay = new Map<number, string>();
  const { submit, onReady } = engine;
  const noted: Pick<NativeEngine, "submit" | "onReady"> = {
    submit: (words) => {
      noteJobs(engine.jobs, words, underWay, trace);
      return submit.call(engine, words);
    },
    onReady: (callback) =>
      onReady.call(engine, (readyCount, completionCount) => {
        for (let index = 0; index < completionCount; index++) {
          const tag = entryOf(engine.completions, 2 * index);
          const name = underWay.get(tag);
          underWay.delete(tag);
          if (name !== undefined) trace.end(tag, name, { result: engine.completions[2 * index + 1] });
        }
        callback(readyCount, completionCount);
      }),
  };
  // The addon's methods cannot be assigned to: these stand before them.
  for (const [name, value] of Object.entries(noted)) Object.defineProperty(engine, name, { value });
  return engine;
}

function noteJobs(table: Float64Array, words: number, underWay: Map<number, string>, trace: JobTrace): void {
  for (let at = 0; at < words; ) {
    const kind = entryOf(table, at);
    const tag = entryOf(table, at + 1);
    const pairs = entryOf(table, at + 5);
    const lengthAt = kind === JobKind.digestFiles ? 2 : 1;
    const step = kind === JobKind.digestFiles ? 2 * PAIR_WORDS : PAIR_WORDS;
    const end = at + JOB_HEADER_WORDS + pairs * PAIR_WORDS;
    let bytes = 0;
    for (let pair = at + JOB_HEADER_WORDS; pair < end; pair += step) bytes += entryOf(table, pair + lengthAt);
    const name = NAMES.get(kind) ?? `kind ${kind}`;
    underWay.set(tag, name);
    trace.begin(tag, name, { bytes });
    at = end;
  }
}
