// Samples of perf and of V8, folded into stacks, listed and drawn.

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { required } from "../../support/required.js";

type Stacks = ReadonlyMap<string, number>;
interface Fold {
  foldPerf(text: string, root: string): Stacks;
  foldCpuProfile(profile: unknown, root: string): Stacks;
  topList(stacks: Stacks): { frame: string; self: number; total: number }[];
  kindShares(stacks: Stacks): Record<string, number>;
}

// Compiled tests lie in dist/test/unit/scripts; the scripts are not compiled.
const scripts = join(dirname(fileURLToPath(import.meta.url)), "../../../../scripts/profile");
const load = (name: string): Promise<unknown> => import(pathToFileURL(join(scripts, name)).href);
const { foldPerf, foldCpuProfile, topList, kindShares } = (await load("fold.mjs")) as Fold;
const { flameGraph } = (await load("flame-graph.mjs")) as {
  flameGraph(stacks: Stacks, words: { title: string; subtitle: string }): string;
};

const PERF = `node
\tffff8000 _copy_to_iter+0x1c ([kernel.kallsyms])
\t7f00 __GI___readv+0x20 (/usr/lib/libc.so.6)
\t7f01 scatterwire::Engine::readv(Napi::CallbackInfo const&)+0x10 (/home/me/project/build/Release/scatterwire.node)
\t7f02 LazyCompile:*commit file:///home/me/project/dist/src/receive/receiver.js:139:11+0x5 (/tmp/perf-7.map)
\t7f03 node::Start(int, char**)+0x1 (/usr/bin/node)
\t7f04 [unknown] ([unknown])

node
\t7f02 JS:*commit file:///home/me/project/dist/src/receive/receiver.js:139:11+0x9 (/tmp/perf-7.map)
\t7f03 node::Start(int, char**)+0x1 (/usr/bin/node)

worker thread
\t7f09 malloc+0x3 (/usr/lib/libc.so.6)
`;
const COMMIT = "j commit dist/src/receive/receiver.js:139:11";

describe("profiles", () => {
  it("fold what perf prints, outermost frame first, each with its kind", () => {
    const stacks = foldPerf(PERF, "/home/me/project");
    assert.deepEqual(
      [...stacks],
      [
        [`n node;n node::Start;${COMMIT};a scatterwire::Engine::readv;l __GI___readv;k _copy_to_iter`, 1],
        [`n node;n node::Start;${COMMIT}`, 1],
        ["n worker thread;l malloc", 1],
      ],
    );
  });

  it("list frames by what they spent themselves, with what was spent beneath", () => {
    const commit = required(
      topList(foldPerf(PERF, "/home/me/project")).find(({ frame }) => frame === COMMIT),
      "commit",
    );
    assert.deepEqual([commit.self, commit.total], [1 / 3, 2 / 3]);
    assert.deepEqual(kindShares(foldPerf(PERF, "")), { k: 1 / 3, j: 1 / 3, l: 1 / 3, a: 0, n: 0 });
  });

  it("count a frame that calls itself once", () => {
    const list = topList(new Map([["n node;j again;j again;j again", 2]]));
    assert.deepEqual(list[0], { frame: "j again", self: 1, total: 1 });
  });

  it("fold V8's profiles by time, without idling", () => {
    const frame = (functionName: string, url = "", lineNumber = 0): object => ({
      functionName,
      url,
      lineNumber,
    });
    const stacks = foldCpuProfile(
      {
        nodes: [
          { id: 1, callFrame: frame("(root)"), children: [2, 4] },
          { id: 2, callFrame: frame("turn", "file:///p/dist/src/native/reactor.js", 89), children: [3] },
          { id: 3, callFrame: frame("(garbage collector)") },
          { id: 4, callFrame: frame("(idle)") },
        ],
        samples: [2, 3, 4, 2],
        timeDeltas: [10, 20, 500, 30],
      },
      "/p",
    );
    const turn = "j turn dist/src/native/reactor.js:90";
    assert.deepEqual(
      [...stacks],
      [
        [turn, 40],
        [`${turn};n (garbage collector)`, 20],
      ],
    );
  });

  it("draw each frame as wide as its share, and escape its name", () => {
    const stacks = new Map([
      ["n node;j <a>", 3],
      ["n node;k b", 1],
    ]);
    const page = flameGraph(stacks, { title: "A & B", subtitle: "<i>" });
    const width = (name: string): number => {
      const box = required(
        page.split("<g ").find((part) => part.includes(`data-name="${name}"`)),
        "one of split",
      );
      return Number(required(/<rect[^>]* width="([\d.]+)"/.exec(box), "a match")[1]);
    };
    assert.deepEqual([width("all"), width("node"), width("&lt;a&gt;"), width("b")], [1200, 1200, 900, 300]);
    assert.match(page, /<h1>A &amp; B<\/h1>/);
    assert.doesNotMatch(page, /https?:|<a>|src=/);
  });
});
