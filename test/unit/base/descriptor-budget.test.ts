// Connections and files share what the system allows: neither starves the other, and nobody waits for ever.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { DescriptorBudget, type DescriptorUse } from "../../../src/base/descriptor-budget.js";
import { check } from "../../support/property.js";

const USES: readonly DescriptorUse[] = ["connection", "file"];

describe("DescriptorBudget", () => {
  it("leaves the host its share, and each use its own", () => {
    for (const limit of [0, 64, 256, 1024, 20_000, 1_048_576, Number.POSITIVE_INFINITY]) {
      const budget = new DescriptorBudget(limit);
      if (limit >= 64) assert.ok(limit - budget.total >= 32, `${limit}: the host has descriptors`);
      for (const [use, other] of [USES, [...USES].reverse()] as [DescriptorUse, DescriptorUse][]) {
        const taken = new DescriptorBudget(limit);
        let count = 0;
        while (count < 10_000 && taken.take(use)) count++;
        assert.ok(count === 10_000 || count === budget.max(use));
        assert.ok(taken.take(other), `${limit}: ${use} leaves something to ${other}`);
      }
    }
  });

  it("tells whoever waits, one for each descriptor that comes back, also when the other use gives it", () => {
    const budget = new DescriptorBudget(64);
    while (budget.take("file"));
    while (budget.take("connection"));
    const told: string[] = [];
    budget.wait("connection", () => told.push("first"));
    const second = (): number => told.push("second");
    budget.wait("connection", second);
    budget.wait("connection", () => told.push("third"));
    budget.release("file");
    assert.deepEqual(told, ["first"]);
    assert.equal(budget.take("connection"), true);
    budget.stopWaiting("connection", second);
    budget.release("connection");
    assert.deepEqual(told, ["first", "third"]);
    budget.release("connection");
    assert.deepEqual(told, ["first", "third"]);
  });

  it("asks the other use for what it does not need before it says no", () => {
    const budget = new DescriptorBudget(64);
    let idle = 0;
    while (budget.take("file")) idle++;
    budget.onShortage("file", () => {
      if (idle === 0) return false;
      idle--;
      budget.release("file");
      return true;
    });
    let connections = 0;
    while (budget.take("connection")) connections++;
    assert.equal(connections, budget.max("connection"));
    assert.equal(budget.used("file"), budget.total - connections);
    assert.equal(budget.makeRoom("connection"), false);
    assert.equal(idle, budget.used("file"), "nothing is closed in vain");
  });

  it("what is held for long is counted, and what it leaves to files is a quarter at least, whatever connections there are", () => {
    const budget = new DescriptorBudget(256);
    const { total } = budget;
    while (budget.take("connection"));
    let idle = 0;
    while (budget.take("file")) idle++;
    budget.onShortage("file", () => {
      if (idle === 0) return false;
      idle--;
      budget.release("file");
      return true;
    });
    for (let held = 0; held < total / 2; held++) budget.hold();
    assert.equal(idle, 0, "idle files made room");
    assert.equal(budget.total, total / 2);
    assert.equal(budget.take("connection"), false);
    for (let file = 0; file < Math.floor(total / 8); file++) assert.equal(budget.take("file"), true);
    assert.equal(budget.take("file"), false);
    let told = 0;
    budget.wait("file", () => told++);
    for (let held = 0; held < total / 2; held++) budget.letGo();
    assert.equal(told, 1);
    assert.equal(budget.total, total);
  });

  it("never lends more than there is, whatever the order", () => {
    check(
      fc.property(
        fc.integer({ min: 0, max: 300 }),
        fc.array(fc.tuple(fc.constantFrom(...USES), fc.boolean()), { maxLength: 600 }),
        (limit, steps) => {
          const budget = new DescriptorBudget(limit);
          const held = { connection: 0, file: 0 };
          for (const [use, taking] of steps) {
            if (taking && budget.take(use)) held[use]++;
            if (!taking && held[use] > 0) {
              budget.release(use);
              held[use]--;
            }
            for (const each of USES) {
              assert.equal(budget.used(each), held[each]);
              assert.ok(held[each] <= budget.max(each));
            }
            assert.ok(held.connection + held.file <= budget.total);
          }
        },
      ),
      200,
    );
  });

  it("a process has the budget that its limit allows", () => {
    const descriptors = fileURLToPath(new URL("../../../src/native/descriptors.js", import.meta.url));
    const program = `import { processDescriptors } from ${JSON.stringify(descriptors)}; console.log(processDescriptors().total);`;
    const command = `ulimit -n 200; exec "$0" --input-type=module -e "$1"`;
    const { stdout, stderr } = spawnSync("sh", ["-c", command, process.execPath, program], {
      encoding: "utf8",
    });
    assert.equal(stdout.trim(), `${new DescriptorBudget(200).total}`, stderr);
  });
});
