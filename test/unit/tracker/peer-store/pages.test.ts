// Pages against a list of what was taken of them: each block is somebody's once, whatever is taken and freed in what order, and there are no
// more pages than their memory has.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PAGE_BYTES, PAGE_WORDS, Pages } from "../../../../src/tracker/peer-store/pages.js";
import { check } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

/** Words of blocks: many, some, three and one of a page. */
const SIZES = [5, 400, 1200, PAGE_WORDS];
const PAGES = 8;

function makePages(): Pages {
  return new Pages(new ArrayBuffer((PAGES + 1) * PAGE_BYTES), SIZES);
}

describe("pages of a peer store", () => {
  it("give each block once, and have back what is freed, after every step", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("take" as const), size: fc.nat(SIZES.length - 1) }),
      fc.record({ kind: fc.constant("free" as const), which: fc.nat() }),
      fc.record({ kind: fc.constant("limit" as const), pages: fc.integer({ min: 0, max: 2 * PAGES }) }),
    );
    check(
      fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
        const pages = makePages();
        const taken: { block: number; words: number }[] = [];
        for (const { kind, ...what } of steps) {
          if (kind === "limit" && "pages" in what) pages.limit = what.pages;
          else if (kind === "take" && "size" in what) {
            const block = pages.take(what.size);
            const words = entryOf(SIZES, what.size);
            assert.ok(block !== 0 || pages.inUse >= pages.limit, "none is refused while there is a page");
            if (block === 0) continue;
            assert.ok(block >= PAGE_WORDS && block + words <= pages.words.length);
            for (const other of taken)
              assert.ok(
                block >= other.block + other.words || block + words <= other.block,
                "blocks lie apart",
              );
            taken.push({ block, words });
          } else if (kind === "free" && "which" in what && taken.length > 0) {
            const [gone] = taken.splice(what.which % taken.length, 1);
            assert.ok(gone !== undefined);
            pages.free(gone.block);
          }
          pages.checkInvariants(taken.map(({ block }) => block));
        }
        for (const { block } of taken) pages.free(block);
        pages.checkInvariants([]);
        assert.equal(pages.inUse, 0);
      }),
      100,
    );
  });

  it("are as many as their memory has, whatever they are told: of more, blocks are refused", () => {
    const pages = makePages();
    pages.limit = 1000 * PAGES;
    const blocks: number[] = [];
    for (let block = pages.take(3); block !== 0; block = pages.take(3)) blocks.push(block);
    assert.equal(blocks.length, PAGES);
    assert.equal(pages.limit, PAGES);
    pages.checkInvariants(blocks);
    pages.free(entryOf(blocks, 2));
    assert.equal(pages.take(3), blocks[2]);
  });
});
