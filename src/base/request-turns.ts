// Requests that strangers send, some in each turn of the loop: what a connection brings is given to its reader request by request, the next one when the one
// before is answered. Node.js, which has whatever a read brought parsed at once, would answer 64 KiB of requests of each connection in one go. What comes in
// another protocol, after an upgrade, is given in pieces.
//
// Always: so many requests and pieces are given in a turn at the most, and no byte overtakes another one of its connection. Those that wait are served in the
// order in which they came, one of each, and before whoever comes new. No connection has more requests waiting than WAITING_BYTES_MAX; of one that was upgraded
// no more is read while something waits.

import type { Duplex } from "node:stream";
import { assert } from "./assert.js";

/** Some milliseconds of work: what an honest one waits for behind each turn of others. */
const GIVEN_PER_TURN = 64;
/** Of a connection that was upgraded: some hundred frames of WebSockets that say nothing. */
const PIECE_BYTES = 2048;
/** Of one connection, behind the request that is answered: two long heads, or a hundred short ones. */
const WAITING_BYTES_MAX = 16_384;
const HEAD_END = "\r\n\r\n";

type Push = (this: Duplex, chunk: Buffer | null) => boolean;

interface Feed {
  readonly connection: Duplex;
  /** What gives bytes to whoever reads the connection, or their end. */
  readonly push: Push;
  /** What has come and was not given; never empty. */
  waiting: Buffer | undefined;
  hasEnded: boolean;
  isUpgraded: boolean;
  /** Requests that were begun and have no answer. */
  underWay: number;
}

export class RequestTurns {
  readonly #feeds = new WeakMap<Duplex, Feed>();
  /** Those with bytes that wait, and no request under way. */
  readonly #line = new Set<Feed>();
  readonly #turn = (): void => this.#serve();
  #left = GIVEN_PER_TURN;
  #isTurnDue = false;
  readonly #refused: () => void;

  /** `refused` hears of each connection that is closed because more of it waits than may. */
  constructor(refused: () => void = ignore) {
    this.#refused = refused;
  }

  /** Takes a connection that an HTTP server of Node's has just got, and of which nothing was read. */
  take(connection: Duplex): void {
    const feed: Feed = {
      connection,
      push: connection.push,
      waiting: undefined,
      hasEnded: false,
      isUpgraded: false,
      underWay: 0,
    };
    this.#feeds.set(connection, feed);
    connection.push = (chunk: Buffer | null) => this.#came(feed, chunk);
    // Node.js parses below the stream, from the socket's handle, until somebody wants to have the data.
    connection.on("data", ignore).removeListener("data", ignore);
  }

  /** A request of the connection is under way: the next one waits for its answer. */
  asked(connection: Duplex): void {
    const feed = this.#feeds.get(connection);
    if (feed !== undefined) feed.underWay++;
  }

  answered(connection: Duplex): void {
    const feed = this.#feeds.get(connection);
    if (feed === undefined) return;
    assert(feed.underWay > 0, "what is answered was asked");
    if (--feed.underWay === 0 && feed.waiting !== undefined) this.#lineUp(feed);
  }

  /** The connection speaks another protocol from now on. */
  upgraded(connection: Duplex): void {
    const feed = this.#feeds.get(connection);
    if (feed === undefined) return;
    feed.isUpgraded = true;
    const read = connection._read.bind(connection);
    connection._read = (size) => {
      // The stream asks again with each piece that it is given.
      if (feed.waiting === undefined) read(size);
    };
  }

  /** As push() of a stream, which calls it for what was read. */
  #came(feed: Feed, chunk: Buffer | null): boolean {
    if (chunk === null) return this.#ended(feed);
    // Whoever has had the last answer may go on sending: Node.js would parse it until the connection is closed, some turns later.
    if (isOver(feed)) return true;
    if (feed.waiting === undefined && feed.underWay === 0 && this.#left > 0) return this.#begin(feed, chunk);
    feed.waiting = feed.waiting === undefined ? chunk : Buffer.concat([feed.waiting, chunk]);
    return this.#wait(feed);
  }

  /** Whoever leaves while it is answered wants no more answers. */
  #ended(feed: Feed): boolean {
    if (feed.waiting !== undefined && feed.underWay === 0) {
      feed.hasEnded = true;
      return false;
    }
    feed.waiting = undefined;
    return give(feed, null);
  }

  /** Gives as much as holds one request at the most, or a piece. */
  #begin(feed: Feed, chunk: Buffer): boolean {
    if (--this.#left === 0) this.#schedule();
    const end = feed.isUpgraded ? PIECE_BYTES : endOfHead(chunk);
    if (end >= chunk.length) return give(feed, chunk);
    feed.waiting = chunk.subarray(end);
    give(feed, chunk.subarray(0, end));
    return this.#wait(feed);
  }

  #wait(feed: Feed): boolean {
    const { connection, waiting, isUpgraded } = feed;
    if (waiting === undefined) return true;
    if (isOver(feed)) feed.waiting = undefined;
    else if (!isUpgraded && waiting.length > WAITING_BYTES_MAX) {
      feed.waiting = undefined;
      this.#refused();
      connection.destroy();
    } else if (feed.underWay === 0) this.#lineUp(feed);
    return !isUpgraded;
  }

  #lineUp(feed: Feed): void {
    this.#line.add(feed);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    setImmediate(this.#turn);
  }

  #serve(): void {
    this.#isTurnDue = false;
    this.#left = GIVEN_PER_TURN;
    for (const feed of this.#line) {
      this.#line.delete(feed);
      const { waiting } = feed;
      if (waiting === undefined || isOver(feed)) continue;
      feed.waiting = undefined;
      this.#begin(feed, waiting);
      if (feed.hasEnded && feed.waiting === undefined) give(feed, null);
      if (this.#left === 0) break;
    }
    if (this.#line.size > 0) this.#schedule();
  }
}

function give(feed: Feed, chunk: Buffer | null): boolean {
  return feed.push.call(feed.connection, chunk);
}

/** Whether it was closed, or has had its last answer. */
function isOver({ connection, isUpgraded }: Feed): boolean {
  return connection.destroyed || (connection.writableEnded && !isUpgraded);
}

/** Where the first head ends; the end of all, if none does. */
function endOfHead(bytes: Buffer): number {
  const at = bytes.indexOf(HEAD_END);
  return at < 0 ? bytes.length : at + HEAD_END.length;
}

function ignore(): void {}
