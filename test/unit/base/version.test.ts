// One version: what the sources say is what the package and the changelog say.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { CLIENT_NAME, PEER_ID_PREFIX, VERSION } from "../../../src/base/version.js";

const read = (file: string): string => readFileSync(new URL(`../../../../${file}`, import.meta.url), "utf8");

describe("the version", () => {
  it("is that of package.json", () => {
    assert.equal(VERSION, (JSON.parse(read("package.json")) as { version: string }).version);
  });

  it("has the newest entry of the changelog", () => {
    assert.equal(/^## (\S+)/m.exec(read("CHANGELOG.md"))?.[1], VERSION);
  });

  it("is what peers are told", () => {
    const [major, minor] = VERSION.split(".");
    assert.equal(CLIENT_NAME, `scatterwire ${major}.${minor}`);
    assert.match(PEER_ID_PREFIX, /^-SW[0-9A-F]{3}0-$/);
  });
});
