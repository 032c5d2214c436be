// What the verbs share: values from the command line, and what is said when something is wrong.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import {
  collect,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  formatBytes,
  note,
  oneOf,
  parseAddress,
  printJson,
  printLine,
  reportFailure,
  wholeNumber,
} from "../../../src/cli/output.js";
import { PeerError, StorageError, UsageError } from "../../../src/index.js";

function refusal(status: number, message: RegExp | string): (error: unknown) => boolean {
  return (error) =>
    error instanceof ExitError &&
    error.status === status &&
    (typeof message === "string" ? error.message === message : message.test(error.message));
}

describe("formatBytes", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [9_994, "9.99 kB"],
    [10_000, "10.0 kB"],
    [123_456_789, "123.5 MB"],
    [2_147_483_648, "2.15 GB"],
    [5e15, "5000.0 TB"],
  ];
  for (const [bytes, text] of cases) it(`${bytes} is ${text}`, () => assert.equal(formatBytes(bytes), text));

  it("never shows four digits before the unit changes", () => {
    for (const bytes of [999_949, 999_950, 999_999, 999_999_999]) {
      const [number = ""] = formatBytes(bytes).split(" ");
      assert.ok(Number(number) < 1000, `${bytes} is ${formatBytes(bytes)}`);
    }
  });
});

describe("parseAddress", () => {
  it("takes IPv4 and IPv6 addresses with a port", async () => {
    assert.deepEqual(await parseAddress("127.0.0.1:6881", "--peer"), { host: "127.0.0.1", port: 6881 });
    assert.deepEqual(await parseAddress("[::1]:65535", "--peer"), { host: "::1", port: 65_535 });
  });

  it("looks names up", async () => {
    const { host, port } = await parseAddress("localhost:80", "--peer");
    assert.ok(["127.0.0.1", "::1"].includes(host));
    assert.equal(port, 80);
  });

  it("port 0 picks one for listening, and is none for connecting", async () => {
    assert.deepEqual(await parseAddress("127.0.0.1:0", "--listen"), { host: "127.0.0.1", port: 0 });
    await assert.rejects(
      parseAddress("127.0.0.1:0", "--peer"),
      refusal(EXIT_USAGE, /--peer takes HOST:PORT/),
    );
  });

  const wrong = [
    "",
    "127.0.0.1",
    "127.0.0.1:",
    ":80",
    "::1:80",
    "[::1]",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "a:b",
    "a:1x",
    "127.0.0.1:0x50",
  ];
  for (const text of wrong) {
    it(`"${text}" is wrong usage, and said so`, async () => {
      const message = `--peer takes HOST:PORT, such as 127.0.0.1:6881 or [::1]:6881, not "${text}"`;
      await assert.rejects(parseAddress(text, "--peer"), refusal(EXIT_USAGE, message));
    });
  }

  it("a name that nobody knows is a failure, not wrong usage", async () => {
    await assert.rejects(
      parseAddress("no-such-host.invalid:80", "--peer"),
      refusal(EXIT_FAILED, "--peer no-such-host.invalid:80: the name no-such-host.invalid cannot be found"),
    );
  });

  it("an address in brackets that is none is not looked up as a name", async () => {
    for (const text of ["[localhost]:80", "[127.0.0.1]:80"])
      await assert.rejects(parseAddress(text, "--peer"), refusal(EXIT_USAGE, /--peer takes HOST:PORT/));
  });
});

describe("values", () => {
  it("wholeNumber takes digits within bounds, and nothing that merely looks like a number", () => {
    const parse = wholeNumber("--peers", 1, 64);
    assert.deepEqual([parse("1"), parse("64"), parse("007")], [1, 64, 7]);
    for (const text of [
      "0",
      "65",
      "",
      " 5",
      "5 ",
      "1.0",
      "1e1",
      "0x10",
      "-1",
      "+5",
      "five",
      "99999999999999999999",
    ]) {
      const message = `--peers takes a whole number from 1 to 64, not "${text}"`;
      assert.throws(() => parse(text), refusal(EXIT_USAGE, message));
    }
  });

  it("oneOf takes the names that there are", () => {
    const parse = oneOf("--mode", ["fast", "slow"]);
    assert.equal(parse("slow"), "slow");
    for (const text of ["", "Fast", "fas", "toString"])
      assert.throws(() => parse(text), refusal(EXIT_USAGE, `--mode is one of fast, slow, not "${text}"`));
  });

  it("collect gathers in order and changes nothing that it was given", () => {
    const first = collect("a");
    const second = collect("b", first);
    assert.deepEqual([first, second], [["a"], ["a", "b"]]);
    assert.deepEqual(collect("a", false), ["a"], "behind --no-…, which gave false");
  });
});

describe("what is written", () => {
  let out = "";
  let error = "";
  beforeEach(() => {
    out = "";
    error = "";
    // The test runner reports on standard output itself: only what is ours is kept from it.
    mock.method(process.stdout, "write", (text: string) => {
      out += text;
      return true;
    });
    mock.method(process.stderr, "write", (text: string) => {
      error += text;
      return true;
    });
  });
  afterEach(() => mock.restoreAll());

  /** Runs `work` and gives back both outputs, so that nothing is asserted while they are taken over. */
  function written(work: () => void): { out: string; error: string } {
    work();
    mock.restoreAll();
    return { out, error };
  }

  it("JSON is one line", () => {
    const result = written(() => printJson({ a: "line\nbreak", b: [1] }));
    assert.deepEqual(result, { out: '{"a":"line\\nbreak","b":[1]}\n', error: "" });
  });

  it("names cannot steer a terminal", () => {
    const result = written(() => {
      printLine("a\u001b[2Jb\u0007c\td\r");
      note("x\u009b1mz\ny");
    });
    assert.deepEqual(result, { out: "a\ufffd[2Jb\ufffdc\ufffdd\ufffd\n", error: "x\ufffd1mz\ny\n" });
  });

  const failures: [string, unknown, number, string][] = [
    ["a wrong option", new UsageError("USAGE_OPTION", "no such mode"), EXIT_USAGE, "no such mode"],
    ["a call at a wrong time", new UsageError("USAGE_STATE", "closed"), EXIT_FAILED, "closed"],
    ["an abort", new UsageError("ABORTED", "stopped"), EXIT_INTERRUPTED, "stopped"],
    ["a full disk", new StorageError("STORAGE_NO_SPACE", "no space\nat all"), EXIT_FAILED, "no space at all"],
    ["a peer", new PeerError("PEER_CLOSED", "gone"), EXIT_FAILED, "gone"],
    ["an end with a message", new ExitError(7, "why"), 7, "why"],
    ["a system error", Object.assign(new Error("ENOENT: x"), { errno: -2 }), EXIT_FAILED, "ENOENT: x"],
    [
      "our bug",
      new TypeError("x is\nundefined"),
      EXIT_FAILED,
      "x is undefined (DEBUG=scatterwire shows where)",
    ],
    ["what is no error", "text", EXIT_FAILED, "text (DEBUG=scatterwire shows where)"],
  ];
  for (const [what, failure, status, message] of failures) {
    it(`${what} is one line and exit status ${status}`, () => {
      let given: number | undefined;
      const result = written(() => {
        given = reportFailure(failure);
      });
      assert.deepEqual([given, result], [status, { out: "", error: `scatterwire: ${message}\n` }]);
    });
  }

  it("an end without a message says nothing", () => {
    let given: number | undefined;
    const result = written(() => {
      given = reportFailure(new ExitError(0));
    });
    assert.deepEqual([given, result], [0, { out: "", error: "" }]);
  });
});
