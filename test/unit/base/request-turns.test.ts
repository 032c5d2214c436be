// What is given to whoever reads a connection of an HTTP server, and when no more is.

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { RequestTurns } from "../../../src/base/request-turns.js";

const HEAD = "GET / HTTP/1.1\r\n\r\n";

describe("RequestTurns", () => {
  it("gives nothing more of a connection that has had its last answer", async () => {
    const turns = new RequestTurns();
    const connection = new Duplex({
      read: () => {},
      write: (_chunk, _encoding, done) => done(),
      autoDestroy: false,
    });
    turns.take(connection);
    const given: string[] = [];
    connection.on("data", (bytes: Buffer) => given.push(bytes.toString("latin1")));
    for (let request = 0; request < 2; request++) {
      connection.push(Buffer.from(HEAD));
      await nextTurn();
      turns.asked(connection);
      turns.answered(connection);
    }
    connection.end();
    connection.push(Buffer.from("1\r\na\r\n"));
    await nextTurn();
    assert.deepEqual(given, [HEAD, HEAD]);
  });
});
