// HTML as text that cannot be broken by what stands in it: the tag escapes every value, and only what was made by it goes in
// as it is.

import { namedIn } from "../measuring/ends.js";
import { keepTogether } from "./english.js";

export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Value = string | number | Html | readonly Html[] | undefined;

/** Values are escaped, for text and for attributes in double quotes; Html and lists of it are not; undefined is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  const parts = strings.map((part, index) => part + (index < values.length ? textOf(values[index]) : ""));
  return new Html(parts.join(""));
}

function textOf(value: Value): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map((part: Html) => part.text).join("");
  return escapeHtml(keepTogether(String(value)));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => namedIn(ENTITIES, character));
}
