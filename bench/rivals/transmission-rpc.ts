// transmission-daemon's remote control: the few calls that adding a torrent, checking it and watching it come in take.

const BUSY_PAUSE_MS = 50;

export interface TransmissionTorrent {
  readonly leftUntilDone: number;
  readonly percentDone: number;
  readonly status: number;
}

/** transmission's number for a torrent that is being seeded. */
const STATUS_SEEDING = 6;

export class TransmissionRpc {
  readonly #url: string;
  #session = "";

  constructor(port: number) {
    this.#url = `http://127.0.0.1:${port}/transmission/rpc`;
  }

  /** Rejects when the daemon does not answer, or not with success. */
  async call(method: string, parameters: object): Promise<Record<string, unknown>> {
    for (;;) {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "X-Transmission-Session-Id": this.#session },
        body: JSON.stringify({ method, arguments: parameters }),
      });
      // The first call learns the session's id, and is made again.
      if (response.status === 409) {
        this.#session = response.headers.get("X-Transmission-Session-Id") ?? "";
        await response.arrayBuffer();
        continue;
      }
      const answer = (await response.json()) as { result: string; arguments: Record<string, unknown> };
      if (answer.result !== "success") throw new Error(`transmission: ${answer.result}`);
      return answer.arguments;
    }
  }

  /** Adds the torrent, as soon as the daemon answers; data to be seeded is verified before it is of use. */
  async add(torrent: string, directory: string, role: "seed" | "download"): Promise<void> {
    await until(async () => {
      await this.call("session-get", {});
      return true;
    }, 20_000);
    await this.call("torrent-add", { filename: torrent, "download-dir": directory });
    if (role === "download") return;
    await this.call("torrent-verify", {});
    await until(async () => {
      const { percentDone, status } = await this.torrent();
      return percentDone === 1 && status === STATUS_SEEDING;
    }, 120_000);
  }

  /** The one torrent that it has. */
  async torrent(): Promise<TransmissionTorrent> {
    const fields = ["leftUntilDone", "percentDone", "status"];
    const { torrents } = await this.call("torrent-get", { fields });
    const [torrent] = torrents as TransmissionTorrent[];
    if (torrent === undefined) throw new Error("transmission has no torrent");
    return torrent;
  }
}

/** Asks again until the answer is yes; an error counts as no. Rejects with the last one when time is up. */
export async function until(
  ask: () => Promise<boolean>,
  timeoutMs: number,
  pauseMs = BUSY_PAUSE_MS,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  let last: unknown = new Error(`not within ${timeoutMs} ms`);
  while (performance.now() < deadlineMs) {
    try {
      if (await ask()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  throw last;
}
