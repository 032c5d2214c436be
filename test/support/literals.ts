// What a source can say: the fixed parts of its string and template literals. Enough of TypeScript's grammar is known for sources that
// Biome has formatted: comments, regular expressions and literals, nested in each other.

/** The fixed parts of all literals, in their order; what stands between ${ and } divides a template into parts. */
export function literalsOf(source: string): string[] {
  const parts: string[] = [];
  let at = 0;

  /** Code up to a closing brace, or to the end. */
  const code = (): void => {
    let depth = 0;
    let before = "";
    while (at < source.length) {
      const character = source[at] ?? "";
      const two = source.slice(at, at + 2);
      if (two === "//") at = endOf("\n");
      else if (two === "/*") at = endOf("*/");
      else if (character === "/" && /[(,=:[!&|?{};\n]/.test(before)) regularExpression();
      else if (character === '"' || character === "'") text(character);
      else if (character === "`") template();
      else if (character === "}" && depth === 0) return;
      else {
        if (character === "{") depth++;
        if (character === "}") depth--;
        at++;
      }
      if (character.trim() !== "") before = character;
    }
  };
  const endOf = (mark: string): number => {
    const found = source.indexOf(mark, at);
    return found < 0 ? source.length : found + mark.length;
  };
  const regularExpression = (): void => {
    let inClass = false;
    for (at++; at < source.length; at++) {
      const character = source[at];
      if (character === "\\") at++;
      else if (character === "[") inClass = true;
      else if (character === "]") inClass = false;
      else if (character === "/" && !inClass) break;
    }
    at++;
  };
  const escaped = (): string => {
    const character = source[++at] ?? "";
    return character === "n" ? "\n" : character;
  };
  const text = (quote: string): void => {
    let part = "";
    for (at++; at < source.length && source[at] !== quote; at++) {
      part += source[at] === "\\" ? escaped() : source[at];
    }
    at++;
    parts.push(part);
  };
  const template = (): void => {
    let part = "";
    at++;
    while (at < source.length && source[at] !== "`") {
      if (source[at] === "\\") part += escaped();
      else if (source.startsWith("${", at)) {
        parts.push(part);
        part = "";
        at += 2;
        code();
      } else part += source[at];
      at++;
    }
    at++;
    parts.push(part);
  };

  code();
  return parts;
}
