// Text as it is searched: both stores keep and ask for the same words, so that a query finds the same in both.
//
// A word is letters and digits, without case and accents; whatever stands between is left out, so that "Some.Film_2019" has three. Characters
// of scripts that part no words (Chinese, Japanese, Thai) are a word each, and side by side in a query they are a phrase.
//
// Always: what is kept of a torrent and what is read of a query is bounded.

/** Characters of a torrent's name and paths that are searched. */
const TEXT_LENGTH_MAX = 8192;
const WORD_LENGTH_MAX = 64;
const QUERY_LENGTH_MAX = 400;
const QUERY_TERMS_MAX = 16;
/** Places of one word that PostgreSQL keeps. */
const PLACES_MAX = 255;
const WORDS = /[\p{L}\p{N}]+/gu;
const ALONE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/gu;
const MARKS = /\p{M}+/gu;
const PLAIN = /^[\0-\x7f]*$/;
/** Beginnings so short are words of their own in PostgreSQL: there are too many words that have them. */
const PREFIX_LETTERS = [1, 2];

/** One thing that is asked for: words that stand side by side. */
export interface SearchTerm {
  readonly words: readonly string[];
  /** The last word may go on. */
  readonly isPrefix: boolean;
  readonly isExcluded: boolean;
}

export function wordsOf(text: string): string[] {
  if (PLAIN.test(text))
    return (text.toLowerCase().match(WORDS) ?? []).map((word) => word.slice(0, WORD_LENGTH_MAX));
  const plain = text.normalize("NFKD").replace(MARKS, "").toLowerCase();
  return (plain.replace(ALONE, " $& ").match(WORDS) ?? []).map((word) => word.slice(0, WORD_LENGTH_MAX));
}

/** The words of a torrent, parted by spaces: its name first, then paths of its files until there is enough. */
export function searchTextOf(name: string, paths: Iterable<string>): string {
  let text = wordsOf(name.slice(0, TEXT_LENGTH_MAX)).join(" ");
  const known = new Set(text.split(" "));
  for (const path of paths) {
    if (text.length >= TEXT_LENGTH_MAX) break;
    // A folder that is named with each of its files is searched once.
    const words = wordsOf(path.slice(0, TEXT_LENGTH_MAX));
    if (words.every((word) => known.has(word))) continue;
    for (const word of words) known.add(word);
    text += ` ${words.join(" ")}`;
  }
  return text.slice(0, TEXT_LENGTH_MAX);
}

export function parseSearch(text: string): SearchTerm[] {
  const terms: SearchTerm[] = [];
  for (const [, minus, quoted, plain, star] of text
    .slice(0, QUERY_LENGTH_MAX)
    .matchAll(/(-?)(?:"([^"]*)"|([^\s"*]+)(\*?))/g)) {
    const words = wordsOf(quoted ?? plain ?? "");
    if (words.length === 0 || terms.length === QUERY_TERMS_MAX) continue;
    // A character that is a word of its own does not go on.
    const isPrefix = star === "*" && words.at(-1)?.search(ALONE) === -1;
    terms.push({ words, isPrefix, isExcluded: minus === "-" });
  }
  return terms;
}

/** For FTS5; undefined: nothing is asked for. What must not be there counts only beside something that must. */
export function fts5Query(terms: readonly SearchTerm[]): string | undefined {
  const phrase = ({ words, isPrefix }: SearchTerm): string => `"${words.join(" ")}"${isPrefix ? "*" : ""}`;
  const wanted = terms.filter(({ isExcluded }) => !isExcluded).map(phrase);
  if (wanted.length === 0) return undefined;
  const excluded = terms.filter(({ isExcluded }) => isExcluded).map(phrase);
  const all = `(${wanted.join(" AND ")})`;
  return excluded.length === 0 ? all : `${all} NOT (${excluded.join(" OR ")})`;
}

/**
 * A `tsvector` of the words, as PostgreSQL reads it: its own parser would take some for host names, and part others. With "^" before them
 * the beginnings of words.
 */
export function tsVector(text: string): string {
  const places = new Map<string, number[]>();
  const beginnings = new Set<string>();
  for (const [index, word] of text.split(" ").entries()) {
    if (word === "") continue;
    const known = places.get(word);
    if (known === undefined) places.set(word, [index + 1]);
    else if (known.length < PLACES_MAX) known.push(index + 1);
    for (const letters of PREFIX_LETTERS) beginnings.add(beginningOf(word, letters));
  }
  const words = [...places].map(([word, at]) => `'${word}':${at.join(",")}`);
  return [...words, ...[...beginnings].map((each) => `'${each}'`)].join(" ");
}

/** A search of PostgreSQL's: a `tsquery` that its index answers, and one that what the index finds is held to. */
export interface PostgresText {
  readonly indexed: string;
  readonly exact: string | undefined;
}

/** Undefined: nothing is asked for. */
export function tsQueryOf(terms: readonly SearchTerm[]): PostgresText | undefined {
  if (!terms.some(({ isExcluded }) => !isExcluded)) return undefined;
  const indexed: string[] = [];
  const exact: string[] = [];
  for (const term of terms) {
    const { words, isPrefix, isExcluded } = term;
    const not = isExcluded ? "!" : "";
    const last = words.at(-1) ?? "";
    const letters = [...last].length;
    if (!isPrefix || !PREFIX_LETTERS.includes(letters)) indexed.push(`${not}${phraseOf(term)}`);
    else if (words.length === 1) indexed.push(`${not}'${beginningOf(last, letters)}'`);
    else {
      exact.push(`${not}${phraseOf(term)}`);
      if (isExcluded) continue;
      indexed.push(...words.slice(0, -1).map((word) => `'${word}'`), `'${beginningOf(last, letters)}'`);
    }
  }
  return { indexed: `(${indexed.join(" & ")})`, exact: exact.length === 0 ? undefined : exact.join(" & ") };
}

function phraseOf({ words, isPrefix }: SearchTerm): string {
  return `(${words.map((word, index) => `'${word}'${isPrefix && index === words.length - 1 ? ":*" : ""}`).join(" <-> ")})`;
}

function beginningOf(word: string, letters: number): string {
  return `^${[...word.slice(0, 2 * letters)].slice(0, letters).join("")}`;
}
