// What is written from the table of options: the interfaces of src/client/options.ts, with their docstrings, and the tables of the
// README. `npm run options` writes them; test/unit/client/option-table.test.ts holds the files to them.

import {
  type OptionSpec,
  type OptionTable,
  SESSION_OPTIONS,
  TORRENT_OPTIONS,
  type WholeOption,
} from "../../src/client/option-table.js";
import { entryOf } from "./required.js";

const WIDTH = 132;
const TYPES: Partial<Record<OptionSpec["kind"], string>> = {
  whole: "number",
  flag: "boolean",
  trackers: "boolean | readonly string[]",
  folder: "string",
  text: "string",
  texts: "readonly string[]",
  address: "PeerAddress",
  addresses: "readonly PeerAddress[]",
  wholes: "readonly number[]",
  bytes: "Uint8Array",
  signal: "AbortSignal",
};

/** One file, and what stands in it between its marks. */
export interface Written {
  readonly file: string;
  readonly begin: string;
  readonly end: string;
  readonly text: string;
}

export function writtenFromTable(): Written[] {
  return [
    {
      file: "src/client/options.ts",
      begin: "// ── written from option-table.ts by `npm run options` ──\n",
      end: "// ── end of what is written ──\n",
      text: `\n${interfaceOf("SessionOptions", SESSION_OPTIONS)}\n${interfaceOf("TorrentOptions", TORRENT_OPTIONS)}\n`,
    },
    {
      file: "README.md",
      begin: "<!-- written from src/client/option-table.ts by `npm run options` -->\n",
      end: "<!-- end of what is written -->\n",
      text: `\nOptions of \`new Session()\`:\n\n${tableOf(SESSION_OPTIONS)}\nOptions of \`session.add()\`:\n\n${tableOf(TORRENT_OPTIONS)}\n`,
    },
  ];
}

/** `text` with what is between the marks replaced. Throws if a mark is missing. */
export function withWritten(text: string, { begin, end, text: between }: Written): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the marks are missing: ${begin}`);
  return text.slice(0, from + begin.length) + between + text.slice(to);
}

function interfaceOf(name: string, table: OptionTable): string {
  const members = Object.entries(table).map(([option, spec]) => {
    const type = "type" in spec ? spec.type : TYPES[spec.kind];
    return `${docstring(sentences(spec), "  ")}  ${option}?: ${type};\n`;
  });
  const whose = name === "SessionOptions" ? "new Session()" : "Session.add()";
  return `/** Options of ${whose}. */\nexport interface ${name} {\n${members.join("")}}\n`;
}

/** The text, then the range and the default. */
function sentences(spec: OptionSpec): string {
  const allowed = spec.kind === "whole" || spec.kind === "bytes" ? [`${allowedOf(spec)}.`] : [];
  const preset = defaultOf(spec);
  return [spec.text, ...allowed, ...(preset === "" ? [] : [`Default: ${preset}.`])].join(" ");
}

function docstring(text: string, indent: string): string {
  const one = `${indent}/** ${text} */\n`;
  if (one.length <= WIDTH) return one;
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = entryOf(lines, lines.length - 1);
    const longer = line === "" ? word : `${line} ${word}`;
    if (`${indent} * ${longer}`.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join("")}${indent} */\n`;
}

function tableOf(table: OptionTable): string {
  const rows = Object.entries(table).map(
    ([option, spec]) => `| \`${option}\` | ${allowedOf(spec)} | ${defaultOf(spec)} | ${spec.text} |\n`,
  );
  return `| option | value | default | |\n|---|---|---|---|\n${rows.join("")}`;
}

function allowedOf(spec: OptionSpec): string {
  switch (spec.kind) {
    case "whole": {
      const step = spec.multipleOf === undefined ? "" : `, a multiple of ${amount(spec.multipleOf, spec)}`;
      const max = spec.max === Number.MAX_SAFE_INTEGER ? "" : amount(spec.max, spec);
      const min = spec.unit === "bytes" ? amount(spec.min, spec) : spec.min;
      return `${min} … ${max}${step}`;
    }
    case "name":
      return spec.names.map((name) => `"${name}"`).join(", ");
    case "flag":
      return "true, false";
    case "trackers":
      return "true, false, texts";
    case "bytes":
      return `${spec.length} bytes`;
    case "part":
    case "callback":
      return `\`${spec.type}\``;
    case "address":
      return "`{ host, port }`";
    case "addresses":
      return "`{ host, port }[]`";
    case "signal":
      return "`AbortSignal`";
    case "folder":
      return "a path";
    case "wholes":
      return spec.max === Number.MAX_SAFE_INTEGER
        ? "whole numbers"
        : `${spec.min} … ${spec.max}, of each file`;
    case "text":
      return "text";
    case "texts":
      return "texts";
  }
}

/** A number with its unit, bytes in the largest that fits. */
function amount(value: number, { unit }: WholeOption): string {
  if (unit === undefined) return String(value);
  if (unit === "bytes/s")
    return `${amount(value, { kind: "whole", min: 0, max: 0, unit: "bytes", text: "" })}/s`;
  if (unit !== "bytes" || value === 0) return `${value} ${unit}`;
  const fitting = [
    { bytes: 2 ** 30, name: "GiB" },
    { bytes: 2 ** 20, name: "MiB" },
    { bytes: 2 ** 10, name: "KiB" },
  ].find(({ bytes }) => value % bytes === 0);
  return fitting === undefined ? `${value} bytes` : `${value / fitting.bytes} ${fitting.name}`;
}

function defaultOf(spec: OptionSpec): string {
  if (spec.defaultText !== undefined) return spec.defaultText;
  if (!("default" in spec) || spec.default === undefined) return "";
  if (spec.kind === "whole") return amount(spec.default, spec);
  return typeof spec.default === "string" ? `"${spec.default}"` : String(spec.default);
}
