// The page of an index: one document, which loads nothing but /statistics and /api beside it.
//
// Always: what came from outside (names, paths, errors) is written into it as text, and a link leads to a magnet only.

export const INDEX_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'">
<title>Index of torrents</title>
<style>
  :root { color-scheme: light dark; --page: #f6f5f1; --card: #ffffff; --ink: #1d2430; --soft: #5d6778; --line: #e3e1da; --blue: #2563a8; --green: #1b7f5c; --red: #b3402f; --field: #ffffff; }
  @media (prefers-color-scheme: dark) { :root { --page: #12161d; --card: #1a2029; --ink: #e8eaef; --soft: #97a1b2; --line: #2a323e; --blue: #6fb0f2; --green: #58c69a; --red: #ef8b79; --field: #141a22; } }
  * { box-sizing: border-box; margin: 0; } [hidden] { display: none !important; }
  body { background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; padding: 32px 20px 48px; }
  main { max-width: 1080px; margin: 0 auto; display: grid; gap: 16px; }
  main > * { min-width: 0; }
  header { display: flex; align-items: baseline; justify-content: space-between; gap: 4px 16px; flex-wrap: wrap; }
  h1 { font-size: 22px; letter-spacing: -0.01em; }
  h2 { font-size: 13px; font-weight: 600; color: var(--soft); }
  #state { color: var(--soft); } .lost { color: var(--red) !important; font-weight: 600; }
  section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px; min-width: 0; }
  .row { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(200px, calc(50% - 8px)), 1fr)); }
  .wide { grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
  .big { font-size: 28px; font-weight: 600; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; margin-top: 2px; }
  .small { color: var(--soft); font-size: 13px; min-height: 19px; }
  form { display: grid; grid-template-columns: 1fr auto; gap: 10px; }
  form .more { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 10px 16px; color: var(--soft); font-size: 13px; align-items: center; }
  label { display: flex; gap: 6px; align-items: center; }
  input, select, button { font: inherit; color: inherit; background: var(--field); border: 1px solid var(--line); border-radius: 8px; padding: 7px 10px; }
  input[type=search] { font-size: 17px; padding: 10px 14px; min-width: 0; width: 100%; }
  .more input { width: 92px; padding: 4px 8px; font-size: 13px; } .more input[type=date] { width: auto; } .more select { padding: 4px 8px; font-size: 13px; }
  button { cursor: pointer; } button.go { background: var(--blue); border-color: var(--blue); color: var(--card); font-weight: 600; padding: 0 20px; }
  :focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
  #said { margin-top: 12px; }
  ol { list-style: none; padding: 0; margin-top: 6px; }
  li { border-top: 1px solid var(--line); padding: 10px 0; } li:first-child { border-top: 0; }
  summary { cursor: pointer; list-style: none; } summary::-webkit-details-marker { display: none; }
  .name { font-weight: 600; overflow-wrap: anywhere; unicode-bidi: plaintext; text-align: left; }
  .facts { color: var(--soft); font-size: 13px; display: flex; flex-wrap: wrap; gap: 2px 14px; font-variant-numeric: tabular-nums; }
  .inside { margin-top: 8px; padding: 10px 12px; background: var(--page); border-radius: 8px; font-size: 13px; display: grid; gap: 8px; }
  .inside code { overflow-wrap: anywhere; color: var(--soft); }
  a { color: var(--blue); }
  table { width: 100%; border-collapse: collapse; margin-top: 8px; font-variant-numeric: tabular-nums; }
  td { padding: 5px 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; } tr:first-child td { border-top: 0; }
  td:last-child { text-align: right; white-space: nowrap; padding-left: 12px; } tr.zero td { color: var(--soft); }
  svg { display: block; width: 100%; height: 90px; margin-top: 10px; }
  .ends { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; margin: 2px 0 6px; }
  #next { margin-top: 10px; }
  @media (max-width: 520px) { body { padding: 20px 14px 32px; } .row { gap: 12px; } section { padding: 13px 14px; } .big { font-size: 22px; } form { grid-template-columns: 1fr; } button.go { padding: 9px; } }
</style>
</head>
<body>
<main>
  <header><h1>Index of torrents</h1><div id="state" role="status">asking …</div></header>
  <section>
    <form id="search" role="search">
      <input type="search" id="q" placeholder="Words of a name or of a file" aria-label="Words of a name or of a file" autocomplete="off" maxlength="400">
      <button class="go">Search</button>
      <div class="more">
        <label>order <select id="order"><option value="">newest</option><option value="relevance">best match</option><option value="largest">largest</option><option value="smallest">smallest</option></select></label>
        <label>at least <input id="min" placeholder="700M"></label>
        <label>at most <input id="max" placeholder="4G"></label>
        <label>found since <input type="date" id="from"></label>
        <label id="key" hidden>token <input type="password" id="token" autocomplete="current-password"></label>
      </div>
    </form>
    <div class="small" id="said" role="status"></div>
    <ol id="found"></ol>
    <button id="next" hidden>More</button>
  </section>
  <div class="row">
    <section><h2>Torrents</h2><div class="big" id="torrents">–</div><div class="small" id="store"></div></section>
    <section><h2>Hashes known</h2><div class="big" id="hashes">–</div><div class="small" id="removed"></div></section>
    <section><h2>Torrents an hour</h2><div class="big" id="rate">–</div><div class="small" id="lookups"></div></section>
    <section><h2>Indexers</h2><div class="big" id="indexers">–</div><div class="small" id="resident"></div></section>
  </div>
  <div class="row wide">
    <section><h2>Torrents found, each ten minutes</h2><svg id="fetched" viewBox="0 0 300 90" preserveAspectRatio="none" role="img" aria-label="torrents found in each ten minutes of a day"></svg><div class="ends"><span>a day ago</span><span>now</span></div><div class="small" id="fetchedSaid"></div></section>
    <section><h2>Lookups, each ten minutes</h2><svg id="looked" viewBox="0 0 300 90" preserveAspectRatio="none" role="img" aria-label="lookups in each ten minutes of a day"></svg><div class="ends"><span>a day ago</span><span>now</span></div><div class="small" id="lookedSaid"></div></section>
  </div>
  <div class="row wide">
    <section><h2>Since the index was made</h2><table id="totals"></table></section>
    <section id="work" hidden><h2>The indexer in this process</h2><table id="status"></table></section>
  </div>
</main>
<script>
"use strict";
const EVERY_MS = 5000, STEPS = 144, FILES = 100;
const at = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const make = (name, text, kind) => { const element = document.createElement(name); if (text !== undefined) element.textContent = text; if (kind) element.className = kind; return element; };
const bytes = (n) => { let unit = 0; while (n >= 1024 && unit < 5) { n /= 1024; unit++; } return (unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]; };
const span = (s) => s < 60 ? Math.floor(s) + " s" : s < 3600 ? Math.floor(s / 60) + " min" : s < 86400 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
const words = (name) => name.replace(/[A-Z]/g, (letter) => " " + letter.toLowerCase());
const count = (n, one, many) => whole.format(n) + " " + (n === 1 ? one : many);

// ── searching ──
let token = sessionStorage.getItem("token") ?? "", asked = 0, cursor, isWatching = true;
async function get(path) {
  const headers = token === "" ? {} : { authorization: "Bearer " + token };
  const response = await fetch(path, { headers, signal: AbortSignal.timeout(10000) });
  if (response.status === 401) { at("key").hidden = false; throw new Error(token === "" ? "This index wants a token: it is told to whoever starts it." : "That is not the token."); }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? String(response.status));
  return answer;
}
function wanted() {
  const parameters = new URLSearchParams();
  for (const name of ["q", "order", "min", "max", "from"]) if (at(name).value.trim() !== "") parameters.set(name, at(name).value.trim());
  return parameters;
}
function line(torrent) {
  const item = make("li"), details = make("details"), summary = make("summary");
  summary.append(make("div", torrent.name || "(no name)", "name"));
  const facts = make("div", undefined, "facts");
  const seconds = Math.max(0, (Date.now() - torrent.discoveredMs) / 1000);
  for (const fact of [bytes(torrent.bytes), count(torrent.fileCount, "file", "files"), "found " + span(seconds) + " ago", "seen " + count(torrent.hits, "time", "times"), ...(torrent.isPrivate ? ["private"] : [])]) facts.append(make("span", fact));
  summary.append(facts);
  details.append(summary);
  details.addEventListener("toggle", async () => {
    if (!details.open || details.children.length > 1) return;
    const inside = make("div", "asking …", "inside");
    details.append(inside);
    try { show(inside, await get("api/torrents/" + torrent.infoHash)); } catch (error) { inside.textContent = error.message; }
  });
  item.append(details);
  return item;
}
function show(inside, torrent) {
  const link = make("a", "Open the magnet link");
  if (torrent.magnet.startsWith("magnet:?")) link.href = torrent.magnet;
  const table = make("table");
  for (const file of torrent.files.slice(0, FILES)) { const row = table.insertRow(); row.insertCell().textContent = file.path; row.insertCell().textContent = bytes(file.bytes); }
  const left = torrent.fileCount - Math.min(FILES, torrent.files.length);
  inside.replaceChildren(link, make("code", torrent.infoHash), table, ...(left > 0 ? [make("div", "and " + count(left, "more file", "more files"), "small")] : []));
}
async function search(from) {
  const mine = ++asked, parameters = wanted();
  isWatching = [...parameters].length === 0 && from === undefined;
  if (from !== undefined) parameters.set("cursor", from);
  parameters.set("limit", isWatching ? "8" : "20");
  try {
    const page = await get("api/search?" + parameters);
    if (mine !== asked) return;
    cursor = page.cursor;
    if (from === undefined) at("found").replaceChildren();
    at("found").append(...page.torrents.map(line));
    at("next").hidden = cursor === undefined;
    const shown = at("found").children.length;
    at("said").className = "small";
    at("said").textContent = isWatching ? (shown === 0 ? "Nothing is in the index yet." : "The newest, as they come.")
      : shown === 0 && page.isWhole ? "Nothing has all of these words and sizes."
      : page.isWhole ? "" : "Time ran out before all was looked at: More goes on.";
  } catch (error) {
    if (mine !== asked) return;
    at("said").className = "small lost";
    at("said").textContent = error.message;
  }
}
at("search").addEventListener("submit", (event) => { event.preventDefault(); token = at("token").value || token; sessionStorage.setItem("token", token); search(); });
at("order").addEventListener("change", () => search());
at("next").addEventListener("click", () => search(cursor));

// ── the work ──
function table(id, rows) {
  at(id).replaceChildren(...rows.map(([name, number]) => { const row = make("tr", undefined, number === 0 ? "zero" : ""); row.insertCell().textContent = name; row.insertCell().textContent = whole.format(number); return row; }));
}
function draw(id, values, colour) {
  const most = Math.max(1, ...values), path = (attributes) => { const element = document.createElementNS("http://www.w3.org/2000/svg", "path"); for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value); return element; };
  const points = values.map((value, index) => (300 * index / (values.length - 1)).toFixed(1) + " " + (86 - 80 * value / most).toFixed(1)).join(" L");
  at(id).replaceChildren(
    ...[6, 46, 86].map((y) => path({ d: "M0 " + y + " L300 " + y, fill: "none", stroke: "var(--line)", "stroke-width": "1", "vector-effect": "non-scaling-stroke" })),
    path({ d: "M" + points + " L300 86 L0 86 Z", fill: colour, opacity: "0.14" }),
    path({ d: "M" + points, fill: "none", stroke: colour, "stroke-width": "2", "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" }));
  at(id + "Said").textContent = whole.format(values.at(-1)) + " in the last ten minutes, at most " + whole.format(Math.max(...values)) + ", " + whole.format(values.reduce((sum, value) => sum + value, 0)) + " in all";
}
function told(now) {
  const { store, history, stepMs, atMs } = now;
  at("torrents").textContent = whole.format(store.torrents);
  at("store").textContent = bytes(store.storeBytes) + " in " + (store.kind === "sqlite" ? "SQLite" : "PostgreSQL");
  at("hashes").textContent = whole.format(store.hashes);
  at("removed").textContent = whole.format(store.removed) + " removed or pruned";
  const steps = new Map(history.map((step) => [step.atMs, step])), newest = Math.floor(atMs / stepMs) * stepMs;
  // The step under way is not drawn: it would look like a fall.
  const of = (name) => Array.from({ length: STEPS }, (_, index) => steps.get(newest - (STEPS - index) * stepMs)?.[name] ?? 0);
  const fetched = of("fetched"), looked = of("lookups");
  const hour = (values, name) => values.slice(-5).reduce((sum, value) => sum + value, steps.get(newest)?.[name] ?? 0);
  at("rate").textContent = whole.format(hour(fetched, "fetched"));
  at("lookups").textContent = count(hour(looked, "lookups"), "lookup", "lookups") + " in the last hour";
  draw("fetched", fetched, "var(--green)");
  draw("looked", looked, "var(--blue)");
  const alive = now.indexers.filter(({ silentMs }) => silentMs < 120000).length;
  at("indexers").textContent = whole.format(alive);
  at("resident").textContent = bytes(now.residentBytes) + " resident here";
  table("totals", [["torrents found", store.fetched], ["lookups", store.lookups], ["queries to other nodes", store.queries], ["metadata asked for", store.fetches], ["failed, and tried again later", store.failed], ["right by their hash, and no torrent", store.unusable]]);
  // What others tried, and did not get, is many numbers: those that are none are left to the metrics.
  const status = Object.entries(now.status).filter(([name, number]) => number !== 0 || !name.startsWith("dht"));
  at("work").hidden = status.length === 0;
  table("status", status.map(([name, number]) => [words(name), number]));
  at("state").textContent = "up for " + span(now.uptimeSeconds);
  at("state").className = "";
}
async function watch() {
  try {
    const response = await fetch("statistics", { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(String(response.status));
    told(await response.json());
    // What is read is left where it is.
    if (isWatching && document.querySelector("#found details[open]") === null && at("key").hidden && wanted().size === 0) await search();
  } catch {
    at("state").textContent = "no answer; asking again";
    at("state").className = "lost";
  }
  setTimeout(watch, EVERY_MS);
}
search().then(watch);
</script>
</body>
</html>
`;
