// Which sockets are told to be ready, and when.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { READABLE, WRITABLE } from "../../src/native/binding.js";
import { entryOf, required } from "../support/required.js";
import { TestEngine } from "./harness.js";

/** Lets the loop turn `turns` times. */
async function turnLoop(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** `count` connections whose incoming ends each have one byte to read. */
async function fanIn(engine: TestEngine, count: number): Promise<number[]> {
  const incoming: number[] = [];
  for (let index = 0; index < count; index++) {
    const [near, far] = await engine.pair();
    engine.writev(near, [0, 1]);
    incoming.push(far);
  }
  engine.turns.length = 0;
  return incoming;
}

test("all that is ready comes in one call per turn", async (t) => {
  const engine = new TestEngine(t);
  const sockets = await fanIn(engine, 20);
  for (const fd of sockets) engine.engine.watch(fd, READABLE);
  await engine.until(() => engine.turns.length > 0);
  assert.deepEqual(
    entryOf(engine.turns, 0)
      .ready.map(({ fd }) => fd)
      .sort((a, b) => a - b),
    [...sockets].sort((a, b) => a - b),
  );
  assert.ok(entryOf(engine.turns, 0).ready.every(({ events }) => events === READABLE));
});

test("level-triggered: told again until it is read", async (t) => {
  const engine = new TestEngine(t);
  const [fd] = await fanIn(engine, 1);
  engine.engine.watch(required(fd, "fd"), READABLE);
  await engine.until(() => engine.turns.length >= 3);
  assert.equal(engine.readv(required(fd, "fd"), [0, 1]), 1);
  await turnLoop(2);
  const told = engine.turns.length;
  await turnLoop(5);
  assert.equal(engine.turns.length, told);
});

test("more ready sockets than the list holds: none is left out, none is told twice before all were", async (t) => {
  const engine = new TestEngine(t, { readyEntries: 3 });
  const sockets = await fanIn(engine, 10);
  for (const fd of sockets) engine.engine.watch(fd, READABLE);
  await engine.until(() => engine.turns.length >= 4);
  const told = engine.turns.slice(0, 4).flatMap((turn) => turn.ready.map(({ fd }) => fd));
  assert.ok(engine.turns.every((turn) => turn.ready.length <= 3));
  assert.equal(new Set(told.slice(0, 10)).size, 10);
});

test("what did not fit comes although the loop has nothing else to wake for", async (t) => {
  const engine = new TestEngine(t, { readyEntries: 1 });
  const sockets = await fanIn(engine, 5);
  const seen: number[] = [];
  engine.onTurn = (turn) => {
    for (const { fd } of turn.ready) {
      seen.push(fd);
      engine.readv(fd, [0, 1]);
    }
  };
  for (const fd of sockets) engine.engine.watch(fd, READABLE);
  await engine.until(() => seen.length >= 5);
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    [...sockets].sort((a, b) => a - b),
  );
});

test("only what is watched is told", async (t) => {
  const engine = new TestEngine(t);
  const [fd] = await fanIn(engine, 1);
  engine.engine.watch(required(fd, "fd"), WRITABLE);
  await engine.until(() => engine.turns.length > 0);
  assert.deepEqual(entryOf(engine.turns, 0).ready, [{ fd, events: WRITABLE }]);
  engine.engine.watch(required(fd, "fd"), READABLE | WRITABLE);
  engine.turns.length = 0;
  await engine.until(() => engine.turns.length > 0);
  assert.deepEqual(entryOf(engine.turns, 0).ready, [{ fd, events: READABLE | WRITABLE }]);
});

test("closing a socket in the callback wipes its entry, even if the number is used again", async (t) => {
  const engine = new TestEngine(t);
  const sockets = await fanIn(engine, 4);
  let checked = false;
  engine.onTurn = (turn) => {
    if (checked || turn.ready.length < 4) return;
    const victim = entryOf(turn.ready, 3).fd;
    assert.equal(engine.engine.closeSocket(victim), 0);
    // The system gives out the lowest free number; lower ones go first.
    let reused = -1;
    for (let tries = 0; tries < 100 && reused !== victim; tries++) reused = engine.listen();
    assert.equal(reused, victim);
    assert.equal(engine.engine.ready[6], victim);
    assert.equal(engine.engine.ready[7], 0);
    // Pausing another one takes back what the rest of this turn would tell of it.
    engine.engine.watch(entryOf(turn.ready, 2).fd, 0);
    assert.equal(engine.engine.ready[5], 0);
    assert.equal(engine.engine.watch(reused, READABLE), 0);
    checked = true;
  };
  for (const fd of sockets) engine.engine.watch(fd, READABLE);
  await engine.until(() => checked);
});

test("a socket that is closed while it waits for its turn is not told", async (t) => {
  const engine = new TestEngine(t, { readyEntries: 1 });
  const sockets = await fanIn(engine, 3);
  const told = new Set<number>();
  engine.onTurn = (turn) => {
    for (const { fd } of turn.ready) told.add(fd);
    if (engine.turns.length > 1) return;
    for (const fd of sockets) if (fd !== entryOf(turn.ready, 0).fd) engine.engine.closeSocket(fd);
  };
  for (const fd of sockets) engine.engine.watch(fd, READABLE);
  await engine.until(() => engine.turns.length >= 3);
  assert.equal(told.size, 1);
});

test("microtasks of the callback run before the loop goes on", async (t) => {
  const engine = new TestEngine(t);
  const [fd] = await fanIn(engine, 1);
  const order: string[] = [];
  engine.onTurn = () => {
    engine.engine.watch(required(fd, "fd"), 0);
    setImmediate(() => order.push("immediate"));
    queueMicrotask(() => order.push("microtask"));
    process.nextTick(() => order.push("tick"));
    order.push("callback");
  };
  engine.engine.watch(required(fd, "fd"), READABLE);
  await engine.until(() => engine.turns.length > 0);
  while (order.length < 4) await turnLoop(1);
  assert.deepEqual([order[0], order[3]], ["callback", "immediate"]);
});

test("an engine can be closed in its own callback", async (t) => {
  const engine = new TestEngine(t);
  const sockets = await fanIn(engine, 3);
  engine.onTurn = () => engine.engine.close();
  for (const fd of sockets) engine.engine.watch(fd, READABLE);
  await engine.until(() => engine.turns.length > 0);
  await turnLoop(3);
  assert.equal(engine.turns.length, 1);
});
