// The journal of a run: a file of JSON lines that only grows. Its first line says what the run was, each other what was
// measured or why it could not be. A run that was interrupted, or killed, goes on where its journal ends.
//
// Always: a line is written when its trial is over, and a last line that was cut off by a crash is left out.

import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { UsageError } from "../../src/index.js";
import { firstOf } from "./ends.js";
import type { LabOmission, LabTrial } from "./results.js";

const JOURNAL_SCHEMA = 1;

/** What must be the same for a run to go on. */
export interface JournalHead {
  readonly verb: string;
  readonly version: string;
  readonly size: number;
}

export class Journal {
  readonly trials: LabTrial[] = [];
  readonly omissions: LabOmission[] = [];
  /** Times of the first and the last line before this run. */
  startedAt: string;
  readonly #path: string | undefined;

  private constructor(path: string | undefined) {
    this.#path = path;
    this.startedAt = new Date().toISOString();
  }

  /**
   * The journal beside the file of results, begun anew or gone on with; without a file, one that is not kept. Throws UsageError if what is
   * there is the journal of other work.
   */
  static open(results: string | undefined, head: JournalHead): Journal {
    const journal = new Journal(results === undefined ? undefined : `${results}.journal`);
    journal.#begin(head);
    return journal;
  }

  add(trial: LabTrial): void {
    this.trials.push(trial);
    this.#append({ trial });
  }

  omit(omission: LabOmission): void {
    this.omissions.push(omission);
    this.#append({ omission });
  }

  /** The run is complete, and its results are written: nothing is left to go on with. */
  remove(): void {
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }

  #begin(head: JournalHead): void {
    const path = this.#path;
    if (path === undefined) return;
    if (!existsSync(path)) {
      this.#write(path, head);
      return;
    }
    const text = readFileSync(path, "utf8");
    const lines = text.split("\n").slice(0, -1);
    if (lines.length === 0) {
      this.#write(path, head);
      return;
    }
    const { schema, startedAt, ...before } = JSON.parse(firstOf(lines)) as JournalHead & {
      schema: number;
      startedAt: string;
    };
    if (schema !== JOURNAL_SCHEMA || !isDeepStrictEqual(before, head)) {
      throw new UsageError(
        "USAGE_STATE",
        `${path} is the journal of another run (${before.verb}, ${before.size} bytes): finish it with its own options, or remove it`,
      );
    }
    this.startedAt = startedAt;
    for (const line of lines.slice(1)) {
      const { trial, omission } = JSON.parse(line) as { trial?: LabTrial; omission?: LabOmission };
      if (trial !== undefined) this.trials.push(trial);
      if (omission !== undefined) this.omissions.push(omission);
    }
    // A line that was cut off would swallow the next one.
    if (!text.endsWith("\n")) writeFileSync(path, `${lines.join("\n")}\n`);
  }

  #write(path: string, head: JournalHead): void {
    writeFileSync(
      path,
      `${JSON.stringify({ schema: JOURNAL_SCHEMA, ...head, startedAt: this.startedAt })}\n`,
    );
  }

  #append(line: object): void {
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }
}
