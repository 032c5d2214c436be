// What of a session and its torrents is told to node:diagnostics_channel, for programs that watch without holding the objects. The names
// are those of the README.
//
// Always: a message is made only where somebody has subscribed, and told through the session's queue, as events are, so that what a
// subscriber throws is the program's. Nothing is told for each block.

import { type Channel, channel } from "node:diagnostics_channel";
import type { UserCalls } from "../../base/user-calls.js";
import type { SessionEvents, TorrentEvents, TorrentState } from "../options.js";

/** An event that is told on a channel, and what it says there beside its torrent or session. */
interface Told<Args> {
  readonly channel: Channel;
  readonly says: (args: Args) => object;
}

const SESSION = channel("scatterwire:session");
const TORRENT = channel("scatterwire:torrent");

const OF_TORRENTS: { readonly [Name in keyof TorrentEvents]?: Told<TorrentEvents[Name]> } = {
  piece: { channel: channel("scatterwire:piece:verified"), says: ([piece]) => ({ piece }) },
  pieceFailed: {
    channel: channel("scatterwire:piece:failed"),
    says: ([piece, peers]) => ({ piece, peers }),
  },
  peerConnected: {
    channel: channel("scatterwire:peer:connected"),
    says: ([peer, connection]) => ({ peer, connection }),
  },
  peerDisconnected: {
    channel: channel("scatterwire:peer:disconnected"),
    says: ([address, error]) => ({ address, error }),
  },
  peerBanned: {
    channel: channel("scatterwire:peer:banned"),
    says: ([address, error]) => ({ address, error }),
  },
  tracker: { channel: channel("scatterwire:tracker"), says: ([status]) => ({ status }) },
  webSeed: { channel: channel("scatterwire:web-seed"), says: ([status]) => ({ status }) },
  warning: { channel: channel("scatterwire:warning"), says: ([text]) => ({ text }) },
};

const OF_SESSIONS: { readonly [Name in keyof SessionEvents]?: Told<SessionEvents[Name]> } = {
  peerRefused: {
    channel: channel("scatterwire:peer:refused"),
    says: ([address, error]) => ({ address, error }),
  },
  warning: { channel: channel("scatterwire:warning"), says: ([text]) => ({ text }) },
};

/** True if an event of a torrent has a channel, and that has subscribers. */
export function isPublished(name: keyof TorrentEvents): boolean {
  return OF_TORRENTS[name]?.channel.hasSubscribers === true;
}

/** Told of an event of `torrent`, if its channel has subscribers. */
export function publishOfTorrent<Name extends keyof TorrentEvents>(
  userCalls: UserCalls,
  torrent: object,
  name: Name,
  args: TorrentEvents[Name],
): void {
  const told = OF_TORRENTS[name];
  if (told?.channel.hasSubscribers === true)
    publish(userCalls, told.channel, { torrent, ...told.says(args) });
}

/** Told of an event of `session`, if its channel has subscribers. */
export function publishOfSession<Name extends keyof SessionEvents>(
  userCalls: UserCalls,
  session: object,
  name: Name,
  args: SessionEvents[Name],
): void {
  const told = OF_SESSIONS[name];
  if (told?.channel.hasSubscribers === true)
    publish(userCalls, told.channel, { session, ...told.says(args) });
}

/** `scatterwire:torrent`: a torrent passed from one state to another; `error` says why it failed. */
export function publishState(
  userCalls: UserCalls,
  torrent: object,
  from: TorrentState | undefined,
  state: TorrentState,
  error: Error | undefined,
): void {
  if (TORRENT.hasSubscribers) publish(userCalls, TORRENT, { torrent, from, state, error });
}

/** `scatterwire:session`: a session was made, or is closed. */
export function publishSession(userCalls: UserCalls, session: object, state: "open" | "closed"): void {
  if (SESSION.hasSubscribers) publish(userCalls, SESSION, { session, state });
}

function publish(userCalls: UserCalls, to: Channel, message: object): void {
  userCalls.call((said) => to.publish(said), message);
}
