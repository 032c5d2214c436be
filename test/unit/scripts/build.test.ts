// What an installation builds with, as far as it differs from what we build with.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";

const read = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");

it("warnings are errors in our own build, and not for whoever installs with another compiler", () => {
  assert.doesNotMatch(read("binding.gyp"), /-Werror/);
  assert.match(read("native/CMakeLists.txt"), /^target_compile_options\(scatterwire .*-Werror/m);
});

it("a release compiles for each processor that package.json names, with both C libraries of Linux", () => {
  const { os, cpu } = JSON.parse(read("package.json")) as { os: string[]; cpu: string[] };
  const release = read(".github/workflows/release.yml");
  const list = (name: string): string[] =>
    new RegExp(`^ +${name}: \\[(.*)\\]$`, "m").exec(release)?.[1]?.split(", ") ?? [];
  assert.deepEqual([os, list("arch"), list("libc")], [["linux"], cpu, ["glibc", "musl"]]);
  for (const each of [...list("arch").map((arch) => `arch: ${arch}`), "libc: glibc", "libc: musl"])
    assert.match(release, new RegExp(`^ +- \\{ ${each}, `, "m"), each);
});

it("editors indent and break lines as the formatter does", () => {
  const { formatter } = JSON.parse(read("biome.json")) as {
    formatter: { indentStyle: string; indentWidth: number; lineWidth: number };
  };
  const editor = read(".editorconfig");
  const all = /\[\*\]\n([^[]*)/.exec(editor)?.[1] ?? "";
  assert.match(all, new RegExp(`^indent_style = ${formatter.indentStyle}$`, "m"));
  assert.match(all, new RegExp(`^indent_size = ${formatter.indentWidth}$`, "m"));
  assert.match(all, new RegExp(`^max_line_length = ${formatter.lineWidth}$`, "m"));
});
