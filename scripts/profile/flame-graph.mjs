// A flame graph as one HTML file that loads nothing. Each box is a frame, as wide as its share of the time, beneath the frame
// that called it, so that deep recursion ends below and not on top. A click makes a frame as wide as the page; a click on the
// topmost, or Escape, goes back.
//
// The picture is a hundred lines here rather than a package: those that draw it bring a browser's build with them or want a
// format of their own, and there is nothing to it but boxes.

const WIDTH = 1200;
const ROW = 18;
/** Narrower boxes are left out: they could not be seen. */
const SHARE_MIN = 0.001;

/**
 * A frame with all that it called.
 * @typedef {{ frame: string, weight: number, children: Map<string, Node> }} Node
 * @typedef {{ frame: string, weight: number, depth: number, from: number }} Box
 * @typedef {import("./fold.mjs").Stacks} Stacks
 */

/** @type {Record<string, [name: string, colour: string]>} */
const KINDS = {
  k: ["kernel", "#c8553d"],
  a: ["addon", "#d9a441"],
  j: ["JavaScript", "#4d8c57"],
  n: ["Node, V8, libuv", "#5b7fa6"],
  l: ["libraries", "#8a7ca8"],
};

/**
 * @param {Stacks} stacks
 * @param {{ title: string, subtitle: string }} texts
 */
export function flameGraph(stacks, { title, subtitle }) {
  const root = treeOf(stacks);
  /** @type {Box[]} */
  const boxes = [];
  place(root, 0, 0, root.weight, boxes);
  const height = (1 + Math.max(...boxes.map(({ depth }) => depth))) * ROW;
  const key = Object.values(KINDS).map(
    ([name, colour]) => `<li><i style="background:${colour}"></i>${escapeText(name)}</li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeText(title)}</title>
<style>
:root { color-scheme: light dark; --page: #fbfbf9; --text: #1d1f23; --soft: #5c626b; }
@media (prefers-color-scheme: dark) { :root { --page: #141619; --text: #e8e8e4; --soft: #a2a8b1; } }
body { margin: 32px auto; max-width: ${WIDTH}px; padding: 0 20px; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 24px; }
p, ul { margin: 6px 0 16px; padding: 0; color: var(--soft); }
li { display: inline-block; margin-right: 18px; }
i { display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 2px; }
svg { display: block; width: 100%; height: auto; overflow: hidden; }
svg text { font: 11px ui-monospace, Menlo, Consolas, monospace; fill: #fff; pointer-events: none; }
svg g { cursor: pointer; }
svg rect { stroke: var(--page); stroke-width: 0.7; }
svg g:hover rect { filter: brightness(1.2); }
</style></head><body>
<h1>${escapeText(title)}</h1>
<p>${escapeText(subtitle)}</p>
<ul>${key.join("")}</ul>
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeText(title)}">
${boxes.map((box) => boxText(box, root.weight)).join("\n")}
</svg>
<script>${SCRIPT}</script>
</body></html>
`;
}

/** @param {Stacks} stacks */
function treeOf(stacks) {
  /** @type {Node} */
  const root = { frame: "n all", weight: 0, children: new Map() };
  for (const [stack, weight] of stacks) {
    let node = root;
    node.weight += weight;
    for (const frame of stack.split(";")) {
      let child = node.children.get(frame);
      if (child === undefined) {
        child = { frame, weight: 0, children: new Map() };
        node.children.set(frame, child);
      }
      child.weight += weight;
      node = child;
    }
  }
  return root;
}

/**
 * @param {Node} node
 * @param {number} depth
 * @param {number} at
 * @param {number} whole
 * @param {Box[]} boxes
 */
function place(node, depth, at, whole, boxes) {
  if (node.weight / whole < SHARE_MIN) return;
  boxes.push({ frame: node.frame, weight: node.weight, depth, from: at / whole });
  let next = at;
  const children = [...node.children.values()].sort((left, right) => (left.frame < right.frame ? -1 : 1));
  for (const child of children) {
    place(child, depth + 1, next, whole, boxes);
    next += child.weight;
  }
}

/**
 * @param {Box} box
 * @param {number} whole
 */
function boxText({ frame, weight, depth, from }, whole) {
  const share = weight / whole;
  const name = frame.slice(2);
  const y = depth * ROW;
  const [kind, colour] = KINDS[frame[0] ?? ""] ?? ["unknown", "#888888"];
  const about = `${name}: ${(100 * share).toFixed(1)} % (${kind})`;
  return `<g data-from="${from.toFixed(6)}" data-share="${share.toFixed(6)}" data-depth="${depth}" data-name="${escapeText(name)}"><title>${escapeText(about)}</title><rect x="${(from * WIDTH).toFixed(1)}" y="${y}" width="${(share * WIDTH).toFixed(1)}" height="${ROW}" rx="2" fill="${colour}"/><text x="${(from * WIDTH + 4).toFixed(1)}" y="${y + 12.5}">${escapeText(fitted(name, share * WIDTH))}</text></g>`;
}

/**
 * @param {string} name
 * @param {number} pixels
 */
function fitted(name, pixels) {
  const room = Math.floor((pixels - 6) / 6.7);
  if (room >= name.length) return name;
  return room < 4 ? "" : `${name.slice(0, room - 1)}…`;
}

/** @param {string} text */
function escapeText(text) {
  /** @type {Record<string, string>} */
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? character);
}

/** Runs in the page: lays the boxes out anew for the frame that was clicked. */
const SCRIPT = `
const boxes = [...document.querySelectorAll("svg g")];
const number = (box, name) => Number(box.dataset[name]);
function show(zoomed) {
  const from = number(zoomed, "from"), share = number(zoomed, "share"), depth = number(zoomed, "depth");
  for (const box of boxes) {
    const above = number(box, "depth") >= depth;
    const left = above ? (number(box, "from") - from) / share : 0;
    const width = above ? number(box, "share") / share : 1;
    const holds = number(box, "from") <= from + 1e-9 && number(box, "from") + number(box, "share") >= from + share - 1e-9;
    const visible = above ? left >= -1e-6 && left + width <= 1 + 1e-6 : holds;
    box.style.display = visible ? "" : "none";
    if (!visible) continue;
    const [rect, text] = [box.querySelector("rect"), box.querySelector("text")];
    rect.setAttribute("x", left * WIDTH);
    rect.setAttribute("width", width * WIDTH);
    text.setAttribute("x", left * WIDTH + 4);
    const room = Math.floor((width * WIDTH - 6) / 6.7), name = box.dataset.name;
    text.textContent = room >= name.length ? name : room < 4 ? "" : name.slice(0, room - 1) + "…";
  }
}
for (const box of boxes) box.addEventListener("click", () => show(box));
addEventListener("keydown", ({ key }) => key === "Escape" && show(boxes[0]));
`.replaceAll("WIDTH", String(WIDTH));
