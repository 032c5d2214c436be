// Tables of text for a terminal: a frame of lines, columns as wide as what is in them, cells of several lines.
//
// Always: every line of a table is equally wide. Characters are counted as one column each, which holds for what the lab prints.

export type Alignment = "left" | "right";

export interface TextTableOptions {
  readonly head: readonly string[];
  /** One per column; left where there is none. */
  readonly colAligns?: readonly Alignment[];
  /** No line between rows. */
  readonly compact?: boolean;
}

export class TextTable {
  readonly #options: TextTableOptions;
  readonly #rows: (readonly string[])[] = [];

  constructor(options: TextTableOptions) {
    this.#options = options;
  }

  push(...rows: readonly (readonly (string | number)[])[]): void {
    for (const row of rows) this.#rows.push(row.map(String));
  }

  toString(): string {
    const { head, compact = false } = this.#options;
    const cells = [head, ...this.#rows].map((row) => row.map((cell) => cell.split("\n")));
    const columns = Math.max(...cells.map((row) => row.length));
    const widths = Array.from({ length: columns }, (_, column) =>
      Math.max(...cells.flatMap((row) => (row[column] ?? [""]).map((line) => [...line].length))),
    );
    const rule = (left: string, middle: string, right: string): string =>
      left + widths.map((width) => "─".repeat(width + 2)).join(middle) + right;
    const between = rule("├", "┼", "┤");
    const lines = [rule("┌", "┬", "┐")];
    cells.forEach((row, index) => {
      lines.push(...this.#rowLines(row, widths));
      const isLast = index === cells.length - 1;
      if (!isLast && (index === 0 || !compact)) lines.push(between);
    });
    lines.push(rule("└", "┴", "┘"));
    return lines.join("\n");
  }

  #rowLines(row: readonly (readonly string[])[], widths: readonly number[]): string[] {
    const height = Math.max(1, ...row.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) => {
      const texts = widths.map((width, column) => {
        const text = row[column]?.[line] ?? "";
        const space = " ".repeat(width - [...text].length);
        return ` ${this.#options.colAligns?.[column] === "right" ? space + text : text + space} `;
      });
      return `│${texts.join("│")}│`;
    });
  }
}
