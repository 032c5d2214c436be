// What trackers and web seeds say, for a person or a program that watches: with --json each answer and each failure, else what is wrong, and each
// text of each tracker once.
//
// Always: of a tracker's address only the host is shown to people, who may show their terminal to others: paths have pass keys.

import type { Torrent, TrackerStatus } from "../index.js";
import { note, printJson } from "./output.js";

/** Of one torrent; a tracker that says something new each time is not followed for ever. */
const NOTES_MAX = 20;

export function tellSources(torrent: Torrent, json: boolean): void {
  const said = new Set<string>();
  const tell = (kind: string, url: string, text: string | undefined): void => {
    if (text === undefined || json || said.size === NOTES_MAX) return;
    const line = `scatterwire: ${kind} ${hostOf(url)}: ${text}`;
    if (!said.has(line)) note(line);
    said.add(line);
  };
  torrent.on("tracker", (status) => {
    if (json) printJson(trackerEvent(status));
    tell("tracker", status.url, status.error?.message ?? status.warning);
  });
  torrent.on("webSeed", ({ url, state, error }) => {
    if (json) printJson({ event: "webSeed", url, state, error: error ?? null });
    tell("web seed", url, error);
  });
}

function trackerEvent(status: TrackerStatus): object {
  const { url, state, peers, seeders, leechers, downloads, warning, error } = status;
  const counts = { seeders: seeders ?? null, leechers: leechers ?? null, downloads: downloads ?? null };
  return {
    event: "tracker",
    url,
    state,
    peers,
    ...counts,
    warning: warning ?? null,
    error: error?.message ?? null,
  };
}

/** "udp://tracker.example:1337"; what is no URL as it stands, but not all of it. */
export function hostOf(url: string): string {
  if (!URL.canParse(url)) return url.slice(0, 60);
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}
