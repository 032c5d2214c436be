// A disk without room, without mounting one: the calls of node:fs that match say ENOSPC, or what else they are told to.

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { constants } from "node:os";

type Call = (...args: unknown[]) => unknown;

/** Replaces `fs[name]` by `make(it)` until `body` has ended, also for those who imported it by name. */
export async function withFs(
  name: "writeSync" | "openSync" | "fdatasyncSync" | "writev" | "appendFileSync",
  make: (real: Call) => Call,
  body: () => Promise<void>,
): Promise<void> {
  const real = fs[name] as Call;
  Object.assign(fs, { [name]: make(real) });
  syncBuiltinESMExports();
  try {
    await body();
  } finally {
    Object.assign(fs, { [name]: real });
    syncBuiltinESMExports();
  }
}

/** The error that node:fs throws for `code`. */
export function systemError(code: "ENOSPC" | "EINVAL" | "EIO"): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made by a test`), { code, errno: -constants.errno[code] });
}
