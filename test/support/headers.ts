// What files say of themselves: each opens with what it is for, and one that is longer than LINES_MAX says there why it is not parted.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const LINES_MAX = 400;
/** "One file, because …", "It is long because …", "… is all here, which is why the file is somewhat long". */
const REASON = /One file, because|\blong because|\blong, because|which is why the file is/;

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");

interface File {
  readonly name: string;
  readonly header: string;
  readonly lines: number;
}

export function readHeader(name: string, text: string): File {
  const header = /^(?:#![^\n]*\n)?((?:\/\/[^\n]*\n)*)/.exec(text)?.[1] ?? "";
  return { name, header: header.replaceAll("\n// ", " "), lines: text.split("\n").length - 1 };
}

/** What is wrong with the header of a file; undefined: nothing. */
export function complaint({ name, header, lines }: File): string | undefined {
  if (header === "") return `${name} does not say what it is for`;
  return lines > LINES_MAX && !REASON.test(header)
    ? `${name} has ${lines} lines and does not say why`
    : undefined;
}

export function headersIn(folder: string): File[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(?:ts|cc|h)$/.test(file) && !file.endsWith(".d.ts"))
    .map((file) => readHeader(`${folder}/${file}`, readFileSync(join(root, folder, file), "utf8")));
}
