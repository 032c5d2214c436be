// The budget of descriptors of this process (of this thread of it, where the library runs in several workers): sessions share it
// with the files of their storage.

import { DescriptorBudget } from "../base/descriptor-budget.js";
import { loadBinding } from "./binding.js";

let budget: DescriptorBudget | undefined;

/** Made at the first call, from the limit that holds then: Node.js raises the soft limit to the hard one when it starts. */
export function processDescriptors(): DescriptorBudget {
  budget ??= new DescriptorBudget(loadBinding().descriptorLimit());
  return budget;
}
