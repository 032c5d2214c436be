// What the README promises is what the sources have: its table of BEPs, and its list of verbs.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { VERBS } from "../../src/cli/verbs.js";
import { required } from "../support/required.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const readme = readFileSync(join(ROOT, "README.md"), "utf8");
const STATES = ["yes", "partly", "no"] as const;

/** BEP → what the table says of it. */
function statesInReadme(): Map<number, string> {
  const rows = readme.matchAll(/^\| (\d+) \| [^|]+ \| (\w+) \| [^|]*\|$/gm);
  return new Map([...rows].map(([, bep, state]) => [Number(bep), required(state, "state")]));
}

/** BEPs that a source names, as in "BEP 10" or "BEP 3, 12, 27, 47". */
function bepsInSources(): Map<number, string> {
  const found = new Map<number, string>();
  for (const name of readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    const text = readFileSync(join(ROOT, "src", name), "utf8");
    for (const [, list] of text.matchAll(/\bBEPs? (\d+(?:(?:, | and )\d+)*)/g))
      for (const number of required(required(list, "list").match(/\d+/g), "a match"))
        found.set(Number(number), name);
  }
  return found;
}

describe("the README", () => {
  const states = statesInReadme();
  const named = bepsInSources();

  it("has a table of BEPs", () => {
    assert.ok(states.size >= 20, `${states.size} rows`);
    for (const [bep, state] of states)
      assert.ok((STATES as readonly string[]).includes(state), `BEP ${bep}: ${state}`);
  });

  it("says of every BEP that a source speaks of how much of it there is", () => {
    for (const [bep, file] of named) {
      const state = states.get(bep);
      assert.ok(
        state === "yes" || state === "partly",
        `src/${file} speaks of BEP ${bep}, the table says ${state}`,
      );
    }
  });

  it("claims no BEP that no source speaks of", () => {
    for (const [bep, state] of states)
      if (state !== "no")
        assert.ok(named.has(bep), `the table says "${state}" of BEP ${bep}, and no source names it`);
  });

  it("shows every verb of the command line", () => {
    for (const { name } of VERBS) assert.match(readme, new RegExp(`^scatterwire ${name} `, "m"));
  });

  it("leads nowhere but to headings that it has", () => {
    const headings = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
      required(heading, "heading")
        .toLowerCase()
        .replaceAll(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    );
    const links = [...readme.matchAll(/\]\(#([^)]+)\)/g)].map(([, link]) => required(link, "link"));
    assert.ok(links.length > 5);
    for (const link of links) assert.ok(headings.includes(link), `#${link}`);
  });
});
