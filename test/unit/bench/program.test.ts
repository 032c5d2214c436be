// The one wrapper of programs that the lab and the tests share: what a program answers has the shape that was asked for, or the error
// says which program said what instead.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Program } from "../../../bench/processes/program.js";
import {
  boolean,
  listOf,
  number,
  object,
  oneOf,
  optional,
  type Shape,
  ShapeError,
  string,
  tableOf,
} from "../../../bench/processes/shape.js";

const LISTENING = object({ port: number, host: string });

const run = (code: string): Program => new Program(process.execPath, ["-e", code], { name: "the program" });

describe("a program", { timeout: 120_000 }, () => {
  it("answers lines in their order, and passes over text, progress and what is no JSON", async () => {
    const program = run(`
      console.log("hello");
      console.log('{"port":1,"host":"a","more":true}');
      console.log('{ not JSON');
      console.log('{"event":"progress","port":2}');
      console.log('{"port":3,"host":"b"}');
      process.stdout.write('{"last":4}');`);
    assert.deepEqual(await program.read(LISTENING), { port: 1, host: "a" });
    assert.deepEqual(await program.read(LISTENING), { port: 3, host: "b" });
    assert.deepEqual(await program.answer(object({ last: number })), { last: 4 });
    assert.match(program.output, /^hello\n.*\{"last":4\}$/s);
  });

  it("that answers another shape is an error with its name, the place and what was found there", async () => {
    const program = run(`console.log('{"port":"6881","host":"a"}')`);
    await assert.rejects(program.read(LISTENING), {
      name: "ShapeError",
      message: 'what the program said.port should be a number, not "6881"',
    });
    await assert.rejects(program.answer(LISTENING), /what the program answered\.port should be a number/);
  });

  it("that ends without the line is an error that quotes it", async () => {
    const program = run(`console.error("no room left"); process.exitCode = 3;`);
    await assert.rejects(
      program.read(LISTENING),
      /^Error: the program ended without saying "port": no room left$/,
    );
    await assert.rejects(program.answer(LISTENING), /^Error: no room left$/);
    await assert.rejects(run("process.exitCode = 3").answer(LISTENING), /the program ended with status 3/);
    await assert.rejects(run("process.kill(process.pid, 'SIGKILL')").answer(LISTENING), /ended by SIGKILL/);
    await assert.rejects(program.fails(), /the program ended: no room left/);
  });

  it("that says nothing in time is an error, and is ended in whatever way it takes", async () => {
    const deaf = run(`process.on("SIGTERM", () => {}); console.error("deaf"); setInterval(() => {}, 1000)`);
    await deaf.said(/deaf/);
    await assert.rejects(deaf.line("port", 10), /the program did not say "port" in time: deaf/);
    assert.equal(deaf.over, false);
    await deaf.stop();
    assert.equal(deaf.child.signalCode, "SIGKILL");
  });

  it("is asked through its standard input, and says what it did when that ends", async () => {
    const program = run(`
      let asked = 0;
      process.stdin.on("data", (chunk) => { for (const byte of chunk) if (byte === 10) console.log(JSON.stringify({ asked: ++asked })); });
      process.stdin.on("end", () => console.log(JSON.stringify({ total: asked })));`);
    const ASKED = object({ asked: number });
    assert.deepEqual(await program.ask(ASKED), { asked: 1 });
    assert.deepEqual(await program.ask(ASKED), { asked: 2 });
    assert.deepEqual(await program.finish(object({ total: number })), { total: 2 });
  });

  it("that is not installed is over, and missing", async () => {
    const program = new Program("scatterwire-is-no-such-program", []);
    assert.equal(await program.ended, null);
    assert.ok(program.missing);
    await assert.rejects(program.answer(LISTENING), /ENOENT/);
    const there = run("");
    await there.ended;
    assert.equal(there.missing, false);
  });
});

describe("a shape", () => {
  const at = <Value>(shape: Shape<Value>, value: unknown): Value => shape(value, "it");

  it("reads what it names, and leaves out the rest", () => {
    const shape = object({
      name: string,
      kind: oneOf(["hot", "cold"]),
      on: boolean,
      of: optional(number),
      list: listOf(object({ at: number })),
      table: tableOf(number),
    });
    const value = { name: "x", kind: "hot", on: false, list: [{ at: 1 }], table: { a: 1 } };
    assert.deepEqual(at(shape, { ...value, of: null, other: 1 }), { ...value, of: undefined });
    assert.deepEqual(at(shape, { ...value, of: 2 }), { ...value, of: 2 });
  });

  it("names the place of what is wrong", () => {
    const wrong: [Shape<unknown>, unknown, string][] = [
      [number, null, "it should be a number, not null"],
      [number, Number.NaN, "it should be a number, not null"],
      [string, 5, "it should be a string, not 5"],
      [boolean, "yes", 'it should be true or false, not "yes"'],
      [oneOf(["a", "b"]), "c", 'it should be one of a, b, not "c"'],
      [listOf(number), [1, "2"], 'it[1] should be a number, not "2"'],
      [listOf(number), {}, "it should be a list, not {}"],
      [tableOf(number), { a: 1, b: [] }, "it.b should be a number, not []"],
      [object({ a: object({ b: number }) }), { a: {} }, "it.a.b should be a number, not missing"],
      [object({ a: number }), [], "it should be an object, not []"],
    ];
    for (const [shape, value, message] of wrong)
      assert.throws(() => at(shape, value), new ShapeError(message), message);
  });
});
