// A socket that accepts, over real sockets and a clock of the test's: while blocks come, connections are accepted as long as those that
// bring no blocks have time in a turn, and all of them in the end.

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { DescriptorBudget } from "../../../../src/base/descriptor-budget.js";
import { SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { KIB, MIB } from "../../../../src/base/limits.js";
import { Listener } from "../../../../src/client/session/listener.js";
import { loadBinding } from "../../../../src/native/binding.js";
import { Reactor } from "../../../../src/native/reactor.js";

const CONNECTIONS = 20;

describe("a Listener", { timeout: 60_000 }, () => {
  it("leaves turns to those that bring blocks, and accepts all that came", async () => {
    // Whatever is done takes longer than a turn has time for.
    let nowMs = 0;
    const ground = {
      ...SYSTEM_GROUND,
      nowMs: () => {
        nowMs += 2;
        return nowMs;
      },
    };
    const reactor = new Reactor(MIB, { binding: loadBinding(), ground });
    const { engine } = reactor;
    const fd = engine.listen("127.0.0.1", 0, CONNECTIONS);
    const address = engine.localAddress(fd);
    assert.ok(typeof address !== "number");
    const acceptedInTurns: number[] = [];
    let accepted = 0;
    const all = new Promise<void>((resolve) => {
      reactor.onTurn({
        turnBegins: () => {
          accepted = 0;
          reactor.load.heard(16 * KIB, 1, true, false);
        },
        turnEnds: () => {
          acceptedInTurns.push(accepted);
          if (acceptedInTurns.reduce((sum, count) => sum + count, 0) === CONNECTIONS) resolve();
        },
      });
    });
    const listener = new Listener(reactor, fd, new DescriptorBudget(1000), {
      nowMs: 0,
      accepted: (socket) => {
        accepted++;
        engine.closeSocket(socket);
      },
      outOfDescriptors: () => assert.fail("there are enough"),
    });
    const sockets: Socket[] = Array.from({ length: CONNECTIONS }, () => connect(address.port, address.host));
    for (const socket of sockets) socket.on("error", () => {});
    await all;
    for (const socket of sockets) socket.destroy();
    listener.close();
    reactor.close();
    assert.ok(Math.max(...acceptedInTurns) <= 2, `${acceptedInTurns.join()} in the turns`);
  });
});
