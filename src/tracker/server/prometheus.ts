// The counters of a tracker in Prometheus' text format.
//
// Always: names and labels are fixed, and nothing in them comes from outside.

import { Exposition, type Labels, snake } from "../../base/metrics/exposition.js";
import type { ServiceCounters } from "./service.js";

export function prometheusText(counters: ServiceCounters, uptimeSeconds: number): string {
  const text = new Exposition("scatterwire_tracker_");
  const { udp, http, web, shared, totals, swarms, admission, workers } = counters;
  text.metric("torrents", "gauge", "Torrents known.", [[{}, totals.torrents]]);
  text.metric("peers", "gauge", "Peers known.", [
    [{ family: "ipv4" }, totals.peersV4],
    [{ family: "ipv6" }, totals.peersV6],
  ]);
  text.metric("swarm_bytes", "gauge", "Memory of swarms in use.", [[{}, totals.bytes]]);
  text.metric("requests_total", "counter", "Requests that were answered.", [
    [{ protocol: "udp", kind: "connect" }, udp.connects],
    [{ protocol: "udp", kind: "announce" }, udp.announces],
    [{ protocol: "udp", kind: "scrape" }, udp.scrapes],
    [{ protocol: "http", kind: "announce" }, http.announces],
    [{ protocol: "http", kind: "scrape" }, http.scrapes],
  ]);
  text.metric("bytes_total", "counter", "Bytes of payload.", [
    [{ protocol: "udp", direction: "in" }, udp.bytesIn],
    [{ protocol: "udp", direction: "out" }, udp.bytesOut],
    [{ protocol: "http", direction: "out" }, http.bytesOut],
  ]);
  const refusals = (protocol: string, reasons: Readonly<Record<string, number>>): [Labels, number][] =>
    Object.entries(reasons).map(([reason, count]) => [{ protocol, reason: snake(reason) }, count]);
  const { truncated, tooShort, unknown, malformed, invalidIds, portZero, unsent } = udp;
  text.metric("refused_total", "counter", "What was not answered, or answered with a failure.", [
    ...refusals("udp", { truncated, tooShort, unknown, malformed, invalidIds, portZero, unsent }),
    ...refusals("http", {
      malformed: http.malformed,
      refusedTorrents: http.refusedTorrents,
      refusedKeys: http.refusedKeys,
      unknownPaths: http.unknownPaths,
      tooManyConnections: http.tooManyConnections,
      tooManyOfAddress: http.tooManyOfAddress,
      tooManyAtOnce: http.tooManyAtOnce,
      slowRequests: http.slowRequests,
      longHeaders: http.longHeaders,
      longUrls: http.longUrls,
      bodies: http.bodies,
      notHttp: http.notHttp,
    }),
  ]);
  text.metric("http_connections", "gauge", "HTTP connections that are open.", [[{}, http.openConnections]]);
  if (web !== undefined) {
    const { openConnections, ...events } = web;
    text.metric("web_connections", "gauge", "WebSockets that are open.", [[{}, openConnections]]);
    text.metric(
      "web_events_total",
      "counter",
      "What WebTorrent peers said, and what was refused.",
      Object.entries(events).map(([event, count]) => [{ event: snake(event) }, count]),
    );
  }
  if (shared !== undefined) {
    const { connected, ...events } = shared;
    text.metric("redis_connected", "gauge", "1 while announces are shared by Redis.", [
      [{}, connected ? 1 : 0],
    ]);
    text.metric(
      "shared_events_total",
      "counter",
      "Announces that were shared with other trackers, and chunks of them.",
      Object.entries(events).map(([event, count]) => [{ event: snake(event) }, count]),
    );
  }
  text.metric(
    "swarm_events_total",
    "counter",
    "Torrents and peers that went, or were not taken.",
    Object.entries(swarms).map(([event, count]) => [{ event: snake(event) }, count]),
  );
  if (workers !== undefined) {
    const { threads, ...events } = workers;
    text.metric("worker_threads", "gauge", "Threads that answer UDP.", [[{}, threads]]);
    text.metric(
      "worker_events_total",
      "counter",
      "Threads that were replaced, and waits for parts of the swarms that another thread had.",
      Object.entries(events).map(([event, count]) => [{ event: snake(event) }, count]),
    );
  }
  text.metric("list_refusals_total", "counter", "Announces and scrapes of torrents that lists refuse.", [
    [{}, admission.refused],
  ]);
  const { user, system } = process.cpuUsage();
  text.metric("cpu_seconds_total", "counter", "CPU of this process.", [[{}, (user + system) / 1e6]]);
  text.metric("resident_bytes", "gauge", "Memory of this process.", [[{}, process.memoryUsage.rss()]]);
  text.metric("uptime_seconds", "gauge", "Seconds since the start.", [[{}, uptimeSeconds]]);
  return text.text;
}
