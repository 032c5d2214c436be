// Samples to stacks: what `perf script` prints, or what node --cpu-prof wrote, as a map from a stack to how much of the time
// was spent in it. A stack is its frames from the outermost in, joined by ";", each with its kind before it:
//
//   k kernel    a the addon    j JavaScript    n Node, V8 and libuv    l other libraries
//
// Paths are cut to what lies below the project, or to the file's name.

/**
 * Weights by stack: frames from the outermost in, each its kind, a space and its name, joined by ";".
 * @typedef {Map<string, number>} Stacks
 */

/** Frames that are the same in every stack of a thread, or say nothing. */
const SKIPPED = new Set(["[unknown]", "_start", "__libc_start_main", "(root)"]);

/**
 * `perf script -F comm,ip,sym,dso`: a line that names the thread, its frames from the innermost out, a blank line.
 * @param {string} text
 * @param {string} root
 */
export function foldPerf(text, root) {
  /** @type {Stacks} */
  const stacks = new Map();
  let thread = "";
  /** @type {string[]} */
  let frames = [];
  const finish = () => {
    if (thread !== "") add(stacks, [`n ${thread}`, ...frames.reverse()], 1);
    thread = "";
    frames = [];
  };
  for (const line of text.split("\n")) {
    if (line.trim() === "") finish();
    else if (!/^\s/.test(line)) thread = line.trim();
    else {
      const match = /^\s*[0-9a-f]+\s+(.*) \((.*)\)$/.exec(line);
      if (match === null) {
        thread ||= line.trim();
        continue;
      }
      const [, symbol = "", object = ""] = match;
      if (!SKIPPED.has(symbol) && !symbol.startsWith("__libc_start"))
        frames.push(frameOf(symbol, object, root));
    }
  }
  finish();
  return stacks;
}

/**
 * @param {string} symbol
 * @param {string} object
 * @param {string} root
 */
function frameOf(symbol, object, root) {
  const name = symbol.replace(/\+0x[0-9a-f]+$/, "");
  const js = /^(?:JS|LazyCompile|Function|Eval|Script|RegExp):[*~^+]*(.*)$/.exec(name);
  if (js !== null) return `j ${shorten(js[1] ?? "", root)}`;
  if (object.includes("[kernel") || object.includes("[guest.kernel") || object.endsWith(".ko"))
    return `k ${name}`;
  if (object.endsWith("scatterwire.node")) return `a ${bareName(name)}`;
  if (/\/node$/.test(object) || /perf-\d+\.map$/.test(object)) return `n ${bareName(name)}`;
  return `l ${bareName(name)}`;
}

/**
 * A C++ name without its arguments: they fill the picture and tell little.
 * @param {string} name
 */
function bareName(name) {
  if (name.startsWith("(")) return name;
  const plain = name.replace(/\(anonymous namespace\)::/g, "");
  const at = plain.indexOf("(");
  return (at > 0 ? plain.slice(0, at) : plain).replaceAll(";", ",");
}

/**
 * @param {string} text
 * @param {string} root
 */
function shorten(text, root) {
  return text
    .replaceAll(`file://${root}/`, "")
    .replaceAll(`${root}/`, "")
    .replace(/\S*\/(?=[^/\s]+$)/, (path) => (/^(?:dist|src|bench|node:)/.test(path) ? path : ""))
    .replaceAll(";", ",");
}

/**
 * A profile of V8: a tree of nodes, and the node that each sample was in.
 * @param {import("node:inspector").Profiler.Profile} profile
 * @param {string} root
 */
export function foldCpuProfile(profile, root) {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map();
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node.id);
  /** @type {Stacks} */
  const stacks = new Map();
  profile.samples?.forEach((id, index) => {
    const microseconds = profile.timeDeltas?.[index] ?? 0;
    /** @type {string[]} */
    const frames = [];
    for (let at = id; at !== undefined; at = parents.get(at)) {
      const frame = nodes.get(at)?.callFrame;
      if (frame === undefined) continue;
      const { functionName, url, lineNumber } = frame;
      if (functionName === "(idle)") return;
      if (SKIPPED.has(functionName)) continue;
      const where = url === "" ? "" : ` ${shorten(url, root)}:${lineNumber + 1}`;
      frames.push(`${url === "" ? "n" : "j"} ${functionName || "(anonymous)"}${where}`);
    }
    add(stacks, frames.reverse(), Math.max(0, microseconds));
  });
  return stacks;
}

/**
 * @param {Stacks} stacks
 * @param {string[]} frames
 * @param {number} weight
 */
function add(stacks, frames, weight) {
  const key = frames.join(";");
  if (key !== "" && weight > 0) stacks.set(key, (stacks.get(key) ?? 0) + weight);
}

/**
 * Per frame, the share that was spent in itself and the share beneath it; by the former.
 * @param {Stacks} stacks
 */
export function topList(stacks) {
  const self = new Map();
  const total = new Map();
  let sum = 0;
  for (const [stack, weight] of stacks) {
    const frames = stack.split(";");
    sum += weight;
    self.set(frames.at(-1), (self.get(frames.at(-1)) ?? 0) + weight);
    for (const frame of new Set(frames)) total.set(frame, (total.get(frame) ?? 0) + weight);
  }
  return [...total]
    .map(([frame, beneath]) => ({ frame, self: (self.get(frame) ?? 0) / sum, total: beneath / sum }))
    .sort((left, right) => right.self - left.self || right.total - left.total);
}

/**
 * Share of the innermost frames by kind: where the processor was.
 * @param {Stacks} stacks
 */
export function kindShares(stacks) {
  /** @type {Record<string, number>} */
  const shares = {};
  for (const { frame, self } of topList(stacks)) shares[frame[0]] = (shares[frame[0]] ?? 0) + self;
  return shares;
}
