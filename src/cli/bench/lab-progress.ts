// How far a run of the lab is, in words: what is measured now, how much of it is done, and how long the rest will take. A
// line that is rewritten where somebody watches, else a line per trial.

import type { OnStep } from "../../../bench/measuring/answer.js";
import type { OnProgress } from "../../../bench/measuring/run.js";
import { axisPhrase } from "../../../bench/report/axes.js";
import { note } from "../output.js";
import { TextLine } from "../progress.js";

type Progress = Parameters<OnProgress>[0];

export class LabProgress {
  readonly #enabled: boolean;
  readonly #startedMs = performance.now();
  #line: TextLine | undefined;

  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  update(progress: Progress): void {
    if (progress.next === undefined) this.stop();
    else this.say(progressText(progress, performance.now() - this.#startedMs));
  }

  /** One of the steps of a benchmark without trials. */
  step(step: Parameters<OnStep>[0]): void {
    this.say(stepText(step, performance.now() - this.#startedMs));
  }

  /** Any other work that takes time. */
  say(text: string): void {
    if (!this.#enabled) return;
    if (!process.stderr.isTTY) {
      note(text);
      return;
    }
    this.#line ??= new TextLine(process.stderr);
    this.#line.show(text);
  }

  stop(): void {
    this.#line?.stop();
    this.#line = undefined;
  }
}

/** "trial 4 of 15, round 2 of 3, about 20 s left: mode, speculative" */
export function progressText(
  { done, total, fresh, round, rounds, next }: Progress,
  elapsedMs: number,
): string {
  const parts = [`trial ${done + 1} of ${total}`];
  if (rounds > 1) parts.push(`round ${round + 1} of ${rounds}`);
  if (fresh > 0) parts.push(`about ${timeText(((total - done) * elapsedMs) / fresh)} left`);
  if (next === undefined) return parts.join(", ");
  const { group, subject, axes } = next;
  const own = subject === "scatterwire" ? [] : [subject === "limit" ? "the limit" : subject];
  const points = Object.entries(axes).map(([axis, value]) => axisPhrase(axis, value));
  return `${parts.join(", ")}: ${[group, ...own, ...points].join(", ")}`;
}

/** "step 3 of 8, about 12 s left: beside two checks" */
export function stepText({ done, total, what }: Parameters<OnStep>[0], elapsedMs: number): string {
  const left = done > 0 ? `, about ${timeText(((total - done) * elapsedMs) / done)} left` : "";
  return `step ${done + 1} of ${total}${left}: ${what}`;
}

function timeText(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
