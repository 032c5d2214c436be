// Tables of text for a terminal: a frame of lines, columns as wide as what is in them, cells of several lines.
//
// Always: no line is longer than the width that is given, 100 columns without one, as long as two columns fit at all: what is too wide
// comes in several tables, the first column beside each. Every line of a table is equally wide. Characters are counted as one column each,
// which holds for what the lab prints.

export type Alignment = "left" | "right";

export interface TextTableOptions {
  readonly head: readonly string[];
  /** One per column; left where there is none. */
  readonly colAligns?: readonly Alignment[];
  /** No line between rows. */
  readonly compact?: boolean;
  /** Characters of a line. */
  readonly width?: number;
}

export const WIDTH_DEFAULT = 100;
/** Of the frame: beside each column, and once more. */
const FRAME_PER_COLUMN = 3;

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
    const { head } = this.#options;
    const cells = [head, ...this.#rows].map((row) => row.map((cell) => cell.split("\n")));
    const columns = Math.max(...cells.map((row) => row.length));
    const widths = Array.from({ length: columns }, (_, column) =>
      Math.max(...cells.flatMap((row) => (row[column] ?? [""]).map((line) => [...line].length))),
    );
    return this.#pages(widths)
      .map((page) => this.#draw(cells, page, widths))
      .join("\n");
  }

  /** Which columns stand beside each other: as many as fit. */
  #pages(widths: readonly number[]): number[][] {
    const { width = WIDTH_DEFAULT } = this.#options;
    const needed = (columns: readonly number[]): number =>
      columns.reduce((sum, column) => sum + (widths[column] ?? 0) + FRAME_PER_COLUMN, 1);
    const pages: number[][] = [];
    let page = [0];
    for (let column = 1; column < widths.length; column++) {
      if (page.length > 1 && needed([...page, column]) > width) {
        pages.push(page);
        page = [0];
      }
      page.push(column);
    }
    return [...pages, page];
  }

  #draw(cells: readonly Row[], page: readonly number[], widths: readonly number[]): string {
    const rule = (left: string, middle: string, right: string): string =>
      left + page.map((column) => "─".repeat((widths[column] ?? 0) + 2)).join(middle) + right;
    const between = rule("├", "┼", "┤");
    const lines = [rule("┌", "┬", "┐")];
    cells.forEach((row, index) => {
      lines.push(...this.#rowLines(row, page, widths));
      const isLast = index === cells.length - 1;
      if (!isLast && (index === 0 || this.#options.compact !== true)) lines.push(between);
    });
    lines.push(rule("└", "┴", "┘"));
    return lines.join("\n");
  }

  #rowLines(row: Row, page: readonly number[], widths: readonly number[]): string[] {
    const height = Math.max(1, ...page.map((column) => row[column]?.length ?? 1));
    return Array.from({ length: height }, (_, line) => {
      const texts = page.map((column) => {
        const text = row[column]?.[line] ?? "";
        const space = " ".repeat((widths[column] ?? 0) - [...text].length);
        return ` ${this.#options.colAligns?.[column] === "right" ? space + text : text + space} `;
      });
      return `│${texts.join("│")}│`;
    });
  }
}

/** The lines of each cell. */
type Row = readonly (readonly string[])[];
