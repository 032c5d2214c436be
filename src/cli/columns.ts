// How wide text is at a terminal, where some characters take two columns and some none.
//
// Always: what is cut takes at most the columns that are said. In doubt a character is taken for wide: a line that is too short does no harm, and one
// that is too long goes on in the next row, where nobody looks for it.

const NONE = /^[\p{M}\p{Cf}]$/u;
const TWO =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Yi}\u2e80-\u303e\u3200-\u33ff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\p{Emoji_Presentation}\p{Extended_Pictographic}\p{Regional_Indicator}]$/u;
const PLAIN = /^[\x20-\x7e]*$/;

/** As much of the beginning of `text` as has room in so many columns. */
export function cutToColumns(text: string, columns: number): string {
  if (PLAIN.test(text)) return text.slice(0, columns);
  let [taken, used] = ["", 0];
  for (const character of text) {
    used += NONE.test(character) ? 0 : TWO.test(character) ? 2 : 1;
    if (used > columns) break;
    taken += character;
  }
  return taken;
}
