// What a benchmark answers that is no matrix of trials: data for machines, and text for a person.

export interface Answer {
  readonly data: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** What must not be, and was found. */
  readonly failure?: string;
}

/** Told before each step of a benchmark that takes a while: which it is, in words, and how many come before it and in all. */
export type OnStep = (step: { readonly done: number; readonly total: number; readonly what: string }) => void;
