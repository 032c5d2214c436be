// The system's hosts file: which addresses a name has there. Lists against advertisements make it megabytes long.
//
// Always: it is read from its beginning for each name that is not known, as it stands then, PART_BYTES in a turn of the loop, once for all
// names that are asked for meanwhile; what is longer than BYTES_MAX is not read. What is no file, or cannot be read, lists nobody.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { isIP } from "node:net";
import type { Ground } from "../base/ground.js";

/** Looked through in less than a millisecond. */
const PART_BYTES = 128 * 1024;
const BYTES_MAX = 16 * 2 ** 20;
const LINE_BYTES_MAX = 8192;

interface Question {
  readonly name: string;
  readonly found: Set<string>;
  readonly answer: (addresses: string[]) => void;
}

/** One way through the file, for some names. */
interface Reading {
  readonly fd: number;
  readonly questions: readonly Question[];
  readonly part: Buffer;
  left: number;
  /** The beginning of a line, whose end has not come. */
  rest: string;
}

export class HostsFile {
  readonly #ground: Ground;
  readonly #path: string;
  #waiting: Question[] = [];
  #isReading = false;

  constructor(ground: Ground, path: string) {
    this.#ground = ground;
    this.#path = path;
  }

  /** Numeric addresses of a name in lower case, IPv4 ones first; empty if the file does not list it. */
  find(name: string): Promise<string[]> {
    return new Promise((answer) => {
      this.#waiting.push({ name, found: new Set(), answer });
      if (!this.#isReading) this.#begin();
    });
  }

  /** For all that wait. */
  #begin(): void {
    const questions = this.#waiting;
    this.#waiting = [];
    this.#isReading = questions.length > 0;
    if (!this.#isReading) return;
    let fd: number;
    try {
      // What is a pipe must not be waited for.
      fd = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch {
      this.#end(questions);
      return;
    }
    const status = fstatSync(fd);
    const left = status.isFile() && status.size <= BYTES_MAX ? status.size : 0;
    const part = Buffer.alloc(Math.min(PART_BYTES, left));
    this.#goOn({ fd, questions, part, left, rest: "" });
  }

  #goOn(reading: Reading): void {
    const isMore = readPart(reading);
    if (isMore) {
      this.#ground.after(0, () => this.#goOn(reading));
      return;
    }
    closeSync(reading.fd);
    this.#end(reading.questions);
  }

  #end(questions: readonly Question[]): void {
    for (const { found, answer } of questions) answer([...found].sort((a, b) => isIP(a) - isIP(b)));
    this.#begin();
  }
}

/** False at the end. */
function readPart(reading: Reading): boolean {
  const bytes = Math.min(reading.part.length, reading.left);
  let count = 0;
  try {
    if (bytes > 0) count = readSync(reading.fd, reading.part, 0, bytes, null);
  } catch {
    // The disk fails: what was read counts.
  }
  reading.left -= count;
  const isLast = count === 0 || reading.left === 0;
  const text = reading.rest + reading.part.toString("latin1", 0, count).toLowerCase();
  const end = isLast ? text.length : text.lastIndexOf("\n") + 1;
  reading.rest = text.slice(end).slice(0, LINE_BYTES_MAX);
  for (const question of reading.questions) look(text.slice(0, end), question);
  return !isLast;
}

function look(text: string, { name, found }: Question): void {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const start = text.lastIndexOf("\n", at) + 1;
    const end = text.indexOf("\n", at);
    const line = text.slice(start, end < 0 ? undefined : end).split("#", 1)[0] ?? "";
    const [address = "", ...names] = line.trim().split(/\s+/);
    if (isIP(address) !== 0 && names.includes(name)) found.add(address);
    if (end < 0) return;
    at = end;
  }
}
