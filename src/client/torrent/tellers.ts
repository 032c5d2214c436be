// Who named which addresses, where anybody may name as many as they like: whoever named most makes room for whoever named fewer, so that
// hundreds who name thousands of dead addresses keep nobody out whom one honest peer names, once.
//
// Always: an address belongs to whoever named it first; a teller is here for as long as an address is that it named.

import { assert, present } from "../../base/assert.js";
import { Heap, type HeapItem } from "../../base/heap.js";

interface Teller<Named> extends HeapItem {
  /** In the order in which they were named. */
  readonly named: Set<Named>;
}

export class Tellers<Named> {
  readonly #tellers = new Map<string, Teller<Named>>();
  readonly #byCount = new Heap<Teller<Named>>((a, b) => a.named.size > b.named.size);

  add(teller: string, named: Named): void {
    const its = this.#tellers.get(teller) ?? { named: new Set(), heapIndex: -1 };
    if (its.named.size === 0) this.#tellers.set(teller, its);
    else this.#byCount.delete(its);
    assert(!its.named.has(named), "an address is named first once");
    its.named.add(named);
    this.#byCount.add(its);
  }

  remove(teller: string, named: Named): void {
    const its = present(this.#tellers.get(teller), "who named an address that is here is here");
    this.#byCount.delete(its);
    const wasThere = its.named.delete(named);
    assert(wasThere, "an address is taken from whoever named it");
    if (its.named.size === 0) this.#tellers.delete(teller);
    else this.#byCount.add(its);
  }

  /** The oldest of whoever named most that may go, for one that `teller` names. Undefined: that one has no fewer, or none of those may go. */
  victimFor(teller: string, mayGo: (named: Named) => boolean): Named | undefined {
    const most = this.#byCount.first;
    const own = this.#tellers.get(teller)?.named.size ?? 0;
    if (most === undefined || most.named.size <= own + 1) return undefined;
    for (const named of most.named) if (mayGo(named)) return named;
    return undefined;
  }
}
