// The options, events and statistics of the public API live beside index.ts, where torrent/ may name them too.

export * from "../options.js";
