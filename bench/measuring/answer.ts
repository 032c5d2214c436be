// What a benchmark answers that is no matrix of trials: data for machines, and text for a person.

export interface Answer {
  readonly data: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** What must not be, and was found. */
  readonly failure?: string;
}
