// A router that does UPnP, as a test answers for it on loopback: searches, its description, and what it is asked; good ones and bad ones.
// Debian's miniupnpd is asked in test/e2e/port-mapping-namespace.test.ts.

import assert from "node:assert/strict";
import { createSocket, type RemoteInfo } from "node:dgram";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type Ground, SYSTEM_GROUND, type Timer } from "../../../../src/base/ground.js";
import { type UpnpAnswer, UpnpGateway } from "../../../../src/client/sources/upnp-gateway.js";

const HOST = "127.0.0.1";
const SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1";
const PORT = 6881;
const OUTSIDE = 40_001;
const LIFETIME_S = 7200;

/** Nobody waits for seconds in which nothing is answered; and a machine that is very busy has all the time it wants for what is. */
const [HASTY, PATIENT] = [0.1, 10].map(
  (factor): Ground => ({
    ...SYSTEM_GROUND,
    after: (ms, callback) => SYSTEM_GROUND.after(factor * ms, callback),
  }),
) as [Ground, Ground];

/** Counts the timers that wait, of one that nobody need wait for. */
function countingGround(): { ground: Ground; waiting: Set<Timer> } {
  const waiting = new Set<Timer>();
  const after = (ms: number, callback: () => void): Timer => {
    const timer = PATIENT.after(ms, () => {
      waiting.delete(counted);
      callback();
    });
    const counted: Timer = {
      ref: () => timer.ref(),
      unref: () => timer.unref(),
      refresh: () => timer.refresh(),
      close: () => {
        waiting.delete(counted);
        return timer.close();
      },
    };
    waiting.add(counted);
    return counted;
  };
  return { ground: { ...SYSTEM_GROUND, after }, waiting };
}

interface Router {
  readonly gateway: UpnpGateway;
  /** Ends what the gateway does. */
  readonly over: AbortController;
  /** Connections to the router that are open. */
  readonly connections: () => number;
  /** Searches that it heard. */
  readonly searches: () => number;
  readonly asked: string[];
  readonly base: string;
}

interface Behaviour {
  /** Of the answer to a search; undefined: none. */
  readonly search?: (base: string) => string | undefined;
  readonly description?: (base: string) => string;
  readonly control?: (request: IncomingMessage, body: string, response: ServerResponse) => void;
  readonly describe?: (response: ServerResponse) => void;
}

function found(base: string): string {
  return `HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLocation: ${base}/root.xml\r\n\r\n`;
}

function described(control: string, more = ""): string {
  return `<?xml version="1.0"?><root>${more}<device><serviceList><service><serviceType>urn:else</serviceType>
    <controlURL>/no</controlURL></service></serviceList><deviceList><device><serviceList><service>
    <serviceType>${SERVICE}</serviceType><controlURL> ${control} </controlURL></service></serviceList></device></deviceList>
    </device></root>`;
}

function fault(code: number): (request: IncomingMessage, body: string, response: ServerResponse) => void {
  return (_request, _body, response) => {
    response
      .writeHead(500)
      .end(`<s:Fault><detail><UPnPError><errorCode>${code}</errorCode></UPnPError></detail></s:Fault>`);
  };
}

async function router(t: TestContext, behaviour: Behaviour = {}, ground = PATIENT): Promise<Router> {
  const asked: string[] = [];
  const over = new AbortController();
  let [connections, searches] = [0, 0];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => {
      body += String(part);
    });
    request.on("end", () => {
      if (request.method === "GET") {
        if (behaviour.describe !== undefined) behaviour.describe(response);
        else response.end((behaviour.description ?? (() => described("/control?a=1&amp;b=2")))(base));
        return;
      }
      asked.push(`${request.url} ${request.headers["soapaction"]} ${body}`);
      if (behaviour.control === undefined) response.end("<ok/>");
      else behaviour.control(request, body, response);
    });
  });
  server.on("connection", (connection) => {
    connections++;
    connection.on("close", () => connections--);
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const base = `http://${HOST}:${(server.address() as AddressInfo).port}`;
  const socket = createSocket("udp4");
  socket.on("message", (_message: Buffer, from: RemoteInfo) => {
    searches++;
    const answer = (behaviour.search ?? found)(base);
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, HOST, resolve));
  t.after(() => {
    socket.close();
    server.closeAllConnections();
    server.close();
  });
  const searchPort = socket.address().port;
  const gateway = new UpnpGateway({ ground, host: () => HOST, over: over.signal, searchPort });
  return { gateway, over, asked, base, connections: () => connections, searches: () => searches };
}

async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition() && turns < 5000; turns++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition(), "it never happened");
}

function map({ gateway }: Router): Promise<UpnpAnswer | undefined> {
  return gateway.map(PORT, OUTSIDE, LIFETIME_S);
}

describe("a router that does UPnP", { timeout: 60_000 }, () => {
  it("is found, asked to forward a port to the address that it sees us at, and asked to end that", async (t) => {
    const place = await router(t);
    assert.deepEqual(await map(place), { kind: "mapped" });
    const [asked = ""] = place.asked;
    assert.ok(asked.startsWith(`/control?a=1&b=2 "${SERVICE}#AddPortMapping" <?xml`), asked);
    for (const [name, value] of Object.entries({
      NewRemoteHost: "",
      NewExternalPort: OUTSIDE,
      NewProtocol: "TCP",
      NewInternalPort: PORT,
      NewInternalClient: HOST,
      NewEnabled: 1,
      NewLeaseDuration: LIFETIME_S,
    }))
      assert.ok(asked.includes(`<${name}>${value}</${name}>`), name);
    await place.gateway.unmap(OUTSIDE);
    assert.match(place.asked[1] ?? "", /#DeletePortMapping".*<NewExternalPort>40001</s);
  });

  it("may name a base of its own, and an absolute URL", async (t) => {
    for (const description of [
      (base: string) => described("deep/control", `<URLBase>${base}/base/</URLBase>`),
      (base: string) => described(`${base}/base/deep/control`),
    ]) {
      const place = await router(t, { description });
      assert.deepEqual(await map(place), { kind: "mapped" });
      assert.match(place.asked[0] ?? "", /^\/base\/deep\/control /);
    }
  });

  it("that forwards for good only is asked for that", async (t) => {
    const place = await router(t, {
      control: (request, body, response) => {
        if (body.includes(`<NewLeaseDuration>${LIFETIME_S}<`)) fault(725)(request, body, response);
        else response.end();
      },
    });
    assert.deepEqual(await map(place), { kind: "mapped" });
    assert.match(place.asked[1] ?? "", /<NewLeaseDuration>0</);
  });

  it("tells a port that somebody else has from a refusal", async (t) => {
    assert.deepEqual(await map(await router(t, { control: fault(718) })), { kind: "taken", code: 718 });
    assert.deepEqual(await map(await router(t, { control: fault(501) })), { kind: "refused", code: 501 });
    const odd = await router(t, { control: (_request, _body, response) => response.writeHead(302).end() });
    assert.deepEqual(await map(odd), { kind: "refused", code: 302 });
  });

  const long = "x".repeat(70_000);
  const bad: Record<string, Behaviour> = {
    "that says nothing": { search: () => undefined },
    "that answers a search with nonsense": { search: () => "\0\xff" },
    "that is no router": { search: (base) => found(base).replace("InternetGatewayDevice", "MediaServer") },
    "that names no place": { search: () => found("").replace(/Location.*/, "") },
    "that sends us to another host": { search: () => found("http://127.0.0.2:80") },
    "that names a user who is no text": { search: (base) => found(base.replace("//", "//%zz@")) },
    "whose control names such a user": {
      description: (base) => described(`${base.replace("//", "//%zz@")}/control`),
    },
    "that sends us to a file": { search: () => found("file:///etc/passwd") },
    "whose description is elsewhere": {
      describe: (response) => response.writeHead(301, { location: "/else" }).end(),
    },
    "whose description is nothing of the kind": { description: () => "<service><service><service>" },
    "whose description is too long": { description: () => described("/control") + long },
    "whose description never ends": {
      describe: (response) => {
        const more = (): void => void (response.destroyed || response.write(long, () => setImmediate(more)));
        more();
      },
    },
    "whose description never comes": { describe: () => {} },
    "whose description breaks off": {
      describe: (response) => void response.write("<root>", () => response.destroy()),
    },
    "whose control is at another host": { description: () => described("http://127.0.0.2/control") },
    "whose control is no URL": { description: () => described("http://[") },
    "that takes what it is asked and never answers": { control: () => {} },
    "that answers with more than anybody reads": {
      control: (_request, _body, response) => void response.end(long),
    },
    "that breaks off when it is asked": { control: (request) => void request.socket.destroy() },
  };
  for (const [name, behaviour] of Object.entries(bad))
    it(`${name} is none, and nothing waits for it for long`, async (t) => {
      const place = await router(t, behaviour, HASTY);
      assert.equal(await map(place), undefined);
      assert.ok(place.asked.length <= 1);
    });

  it("is not looked for where nobody knows of one", async () => {
    const over = new AbortController().signal;
    const gateway = new UpnpGateway({ ground: HASTY, host: () => undefined, over });
    assert.equal(await gateway.map(PORT, OUTSIDE, LIFETIME_S), undefined);
    await gateway.unmap(OUTSIDE);
  });

  const silent: readonly (readonly [string, Behaviour, (place: Router) => boolean])[] = [
    ["searched for", { search: () => undefined }, ({ searches }) => searches() > 0],
    ["asked what it is", { describe: () => {} }, ({ connections }) => connections() > 0],
    ["asked for a port", { control: () => {} }, ({ asked }) => asked.length > 0],
  ];
  for (const [what, behaviour, isAsked] of silent)
    it(`that is ${what} when all is over is left at once, with no timer and no socket, and not asked again`, async (t) => {
      const { ground, waiting } = countingGround();
      const place = await router(t, behaviour, ground);
      const answer = map(place);
      await until(() => isAsked(place));
      place.over.abort();
      assert.equal(await answer, undefined);
      assert.equal(waiting.size, 0);
      await until(() => place.connections() === 0);
      const { asked } = place;
      const [before, searches] = [asked.length, place.searches()];
      await place.gateway.unmap(OUTSIDE);
      assert.equal(await map(place), undefined);
      assert.deepEqual([asked.length, place.searches(), waiting.size], [before, searches, 0]);
    });

  it("that has gone is looked for again", async (t) => {
    let isGone = true;
    const place = await router(t, {
      control: (request, _body, response) => {
        if (isGone) request.socket.destroy();
        else response.end();
      },
    });
    assert.equal(await map(place), undefined);
    isGone = false;
    assert.deepEqual(await map(place), { kind: "mapped" });
  });
});
