// The statistics page of a tracker: one document, which loads nothing but /statistics beside it, every two seconds.
//
// Always: what it shows are numbers; nothing that came from outside is written into it as anything but text.

export const STATISTICS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'">
<title>Tracker</title>
<style>
  :root { color-scheme: light dark; --page: #f6f5f1; --card: #ffffff; --ink: #1d2430; --soft: #667082; --line: #e3e1da; --blue: #2563a8; --green: #1b7f5c; --red: #b3402f; }
  @media (prefers-color-scheme: dark) { :root { --page: #12161d; --card: #1a2029; --ink: #e8eaef; --soft: #97a1b2; --line: #2a323e; --blue: #6fb0f2; --green: #58c69a; --red: #ef8b79; } }
  * { box-sizing: border-box; margin: 0; }
  body { background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; padding: 32px 20px 48px; }
  main { max-width: 980px; margin: 0 auto; display: grid; gap: 16px; }
  header { display: flex; align-items: baseline; justify-content: space-between; gap: 16px; flex-wrap: wrap; }
  h1 { font-size: 22px; letter-spacing: -0.01em; }
  h2 { font-size: 13px; font-weight: 600; color: var(--soft); }
  #state { color: var(--soft); } #state.lost, .small.lost { color: var(--red); font-weight: 600; }
  .row { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(200px, calc(50% - 8px)), 1fr)); }
  .wide { grid-template-columns: repeat(auto-fit, minmax(min(270px, 100%), 1fr)); }
  section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px; }
  .big { font-size: 30px; font-weight: 600; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; margin-top: 2px; }
  .small { color: var(--soft); font-size: 13px; min-height: 19px; }
  svg { display: block; width: 100%; height: 90px; margin-top: 10px; }
  .ends { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; margin: 2px 0 6px; }
  @media (max-width: 520px) { body { padding: 20px 14px 32px; } .row { gap: 12px; } section { padding: 13px 14px; } .big { font-size: 24px; } }
  table { width: 100%; border-collapse: collapse; margin-top: 8px; font-variant-numeric: tabular-nums; }
  td { padding: 5px 0; border-top: 1px solid var(--line); } tr:first-child td { border-top: 0; }
  td:last-child { text-align: right; } tr.zero td { color: var(--soft); }
</style>
</head>
<body>
<main>
  <header><h1>Tracker</h1><div id="state" role="status">asking …</div></header>
  <div class="row">
    <section><h2>Torrents</h2><div class="big" id="torrents">–</div><div class="small" id="memory"></div></section>
    <section><h2>Peers</h2><div class="big" id="peers">–</div><div class="small" id="families"></div></section>
    <section><h2>Requests a second</h2><div class="big" id="rate">–</div><div class="small" id="answered"></div></section>
    <section><h2>Processor</h2><div class="big" id="cpu">–</div><div class="small" id="resident"></div></section>
  </div>
  <div class="row wide">
    <section><h2>Announces a second, UDP</h2><svg id="udp" viewBox="0 0 300 90" preserveAspectRatio="none" role="img" aria-label="announces over UDP, last two minutes"></svg><div class="ends"><span>2 min ago</span><span>now</span></div><div class="small" id="udpRate"></div></section>
    <section><h2>Announces a second, HTTP</h2><svg id="http" viewBox="0 0 300 90" preserveAspectRatio="none" role="img" aria-label="announces over HTTP, last two minutes"></svg><div class="ends"><span>2 min ago</span><span>now</span></div><div class="small" id="httpRate"></div></section>
  </div>
  <div class="row wide">
    <section><h2>Answered</h2><table id="kinds"></table></section>
    <section><h2>Refused</h2><table id="refused"></table></section>
    <section><h2>Gone</h2><table id="gone"></table></section>
    <section id="others" hidden><h2>Shared with other trackers</h2><div class="small" id="redis"></div><table id="shared"></table></section>
  </div>
</main>
<script>
"use strict";
const EVERY_MS = 2000, KEPT = 60;
const at = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const said = { udp: [], http: [] };
let before;
const bytes = (n) => n < 1e6 ? (n / 1e3).toFixed(1) + " kB" : n < 1e9 ? (n / 1e6).toFixed(1) + " MB" : (n / 1e9).toFixed(2) + " GB";
const rate = (n) => n < 10 ? n.toFixed(1) : whole.format(Math.round(n));
const span = (s) => s < 60 ? Math.floor(s) + " s" : s < 3600 ? Math.floor(s / 60) + " min" : s < 86400 ? Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min" : Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
const words = (name) => name.replace(/[A-Z]/g, (letter) => " " + letter.toLowerCase()).replace("v4", "IPv4");
function table(id, rows) {
  at(id).replaceChildren(...rows.map(([name, count]) => {
    const row = document.createElement("tr");
    for (const text of [name, whole.format(count)]) row.insertCell().textContent = text;
    if (count === 0) row.className = "zero";
    return row;
  }));
}
function draw(id, colour) {
  const values = said[id], most = Math.max(1, ...values);
  const points = values.map((value, index) => [300 - 300 / (KEPT - 1) * (values.length - 1 - index), 86 - 80 * value / most]);
  if (points.length < 2) return;
  const line = points.map(([x, y]) => x.toFixed(1) + " " + y.toFixed(1)).join(" L");
  const make = (attributes) => { const path = document.createElementNS("http://www.w3.org/2000/svg", "path"); for (const [name, value] of Object.entries(attributes)) path.setAttribute(name, value); return path; };
  at(id).replaceChildren(
    ...[6, 46, 86].map((y) => make({ d: "M0 " + y + " L300 " + y, fill: "none", stroke: "var(--line)", "stroke-width": "1", "vector-effect": "non-scaling-stroke" })),
    make({ d: "M" + line + " L300 86 L" + points[0][0].toFixed(1) + " 86 Z", fill: colour, opacity: "0.14" }),
    make({ d: "M" + line, fill: "none", stroke: colour, "stroke-width": "2", "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" }));
  at(id + "Rate").textContent = rate(values.at(-1)) + " now, " + rate(Math.max(...values)) + " at the most";
}
function show(now) {
  const { udp, http, totals, swarms } = now;
  at("torrents").textContent = whole.format(totals.torrents);
  at("memory").textContent = bytes(totals.bytes) + " of memory";
  at("peers").textContent = whole.format(totals.peersV4 + totals.peersV6);
  at("families").textContent = whole.format(totals.peersV4) + " IPv4, " + whole.format(totals.peersV6) + " IPv6";
  const answered = udp.responses + http.requests;
  at("answered").textContent = whole.format(answered) + " since the start";
  at("resident").textContent = bytes(now.residentBytes) + " resident";
  at("state").textContent = "up for " + span(now.uptimeSeconds);
  at("state").className = "";
  table("kinds", [["announces, UDP", udp.announces], ["announces, HTTP", http.announces], ["scrapes, UDP", udp.scrapes], ["scrapes, HTTP", http.scrapes], ["connects, UDP", udp.connects], ["HTTP connections open", http.openConnections], ...(now.web === undefined ? [] : [["WebSockets open", now.web.openConnections]])]);
  table("refused", [["no valid connection id", udp.invalidIds], ["malformed", udp.malformed + udp.unknown + udp.tooShort + udp.truncated + http.malformed + http.notHttp], ["port 0", udp.portZero], ["not in the lists, or denied", now.admission.refused + http.refusedTorrents], ["without a key", http.refusedKeys], ["too many connections", http.tooManyConnections + http.tooManyOfAddress + http.tooManyAtOnce], ["no such path", http.unknownPaths], ["too slow, or too long", http.slowRequests + http.longHeaders + http.longUrls + http.bodies], ["answers not sent", udp.unsent]]);
  table("gone", Object.entries(swarms).map(([name, count]) => [words(name), count]));
  const { shared } = now;
  at("others").hidden = shared === undefined;
  if (shared !== undefined) {
    at("redis").textContent = shared.connected ? "Redis is there" : "Redis is away: alone until it is back";
    at("redis").className = shared.connected ? "small" : "small lost";
    table("shared", [["announces told to others", shared.noted - shared.dropped], ["announces heard of others", shared.adopted], ["never told", shared.dropped], ["chunks missed", shared.chunksMissed], ["made no sense", shared.malformed + shared.chunksMalformed]]);
  }
  if (before !== undefined && now.uptimeSeconds > before.uptimeSeconds) {
    const seconds = now.uptimeSeconds - before.uptimeSeconds;
    at("rate").textContent = rate((answered - before.udp.responses - before.http.requests) / seconds);
    at("cpu").textContent = Math.round(100 * (now.cpuSeconds - before.cpuSeconds) / seconds) + " %";
    for (const [id, colour] of [["udp", "var(--blue)"], ["http", "var(--green)"]]) {
      said[id].push(Math.max(0, now[id].announces - before[id].announces) / seconds);
      if (said[id].length > KEPT) said[id].shift();
      draw(id, colour);
    }
  }
  before = now;
}
async function ask() {
  try {
    const response = await fetch("statistics", { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(String(response.status));
    show(await response.json());
  } catch {
    at("state").textContent = "no answer; asking again";
    at("state").className = "lost";
  }
  setTimeout(ask, EVERY_MS);
}
ask();
</script>
</body>
</html>
`;
