// What an installation builds with, as far as it differs from what we build with.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";

const read = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");

it("warnings are errors in our own build, and not for whoever installs with another compiler", () => {
  assert.doesNotMatch(read("binding.gyp"), /-Werror/);
  assert.match(read("native/CMakeLists.txt"), /^target_compile_options\(scatterwire .*-Werror/m);
});
