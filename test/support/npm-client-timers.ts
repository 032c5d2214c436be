// The client of the npm package bittorrent-tracker leaves timers behind after destroy() (it means to connect again within minutes): who
// imports this has a process that they do not keep.

for (const name of ["setTimeout", "setInterval"] as const) {
  const original = globalThis[name] as (...args: unknown[]) => NodeJS.Timeout;
  Object.assign(globalThis, { [name]: (...args: unknown[]) => original(...args).unref() });
}
