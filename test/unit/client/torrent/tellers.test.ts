// Who makes room, of many who name addresses.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Tellers } from "../../../../src/client/torrent/tellers.js";

const any = (): boolean => true;

describe("Tellers", () => {
  it("the oldest that may go, of whoever named most, goes for one of whoever named fewer", () => {
    const tellers = new Tellers<number>();
    for (const number of [1, 2, 3]) tellers.add("many", number);
    tellers.add("few", 4);
    assert.equal(tellers.victimFor("new", any), 1);
    assert.equal(
      tellers.victimFor("few", (number) => number > 2),
      3,
    );
    assert.equal(tellers.victimFor("many", any), undefined);
    assert.equal(
      tellers.victimFor("new", () => false),
      undefined,
    );
    tellers.remove("many", 1);
    assert.equal(tellers.victimFor("few", any), undefined, "it would have as many");
    assert.equal(tellers.victimFor("new", any), 2);
    for (const number of [2, 3]) tellers.remove("many", number);
    tellers.remove("few", 4);
    assert.equal(tellers.victimFor("new", any), undefined, "nobody is here");
  });

  it("takes no address twice, and gives none back that was not named", () => {
    const tellers = new Tellers<number>();
    tellers.add("one", 1);
    assert.throws(() => tellers.add("one", 1), /named first once/);
    assert.throws(() => tellers.remove("other", 1), /who named an address/);
  });
});
