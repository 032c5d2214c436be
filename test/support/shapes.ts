// Whether two objects have one shape inside V8 (a "map"). Compiled code is good for the shapes that it has seen: an object that
// changes its shape while it lives, because a field outgrows small integers, throws away the code of all that handles its kind.

import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";

setFlagsFromString("--allow-natives-syntax");
const haveSameMap = runInThisContext("(a, b) => %HaveSameMap(a, b)") as (a: object, b: object) => boolean;

export function haveSameShape(a: object, b: object): boolean {
  return haveSameMap(a, b);
}
