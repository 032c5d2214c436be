// The UDP tracker of the npm package bittorrent-tracker, to stand beside ours.
//
//   node npm-tracker.js        prints {"port":…} when it listens on 127.0.0.1; ends with its standard input
//
// The package is not a dependency of ours: without it this ends with status 1, and says so.

interface NpmServer {
  readonly udp4: { address(): { port: number } };
  on(event: string, listener: (value: unknown) => void): void;
  listen(port: number, hosts: Readonly<Record<"udp" | "udp6", string>>, listening: () => void): void;
}

interface NpmPackage {
  Server: new (options: Readonly<Record<string, boolean>>) => NpmServer;
}

const NAME = "bittorrent-tracker";

try {
  const { Server } = (await import(NAME)) as NpmPackage;
  const server = new Server({ udp: true, http: false, ws: false, stats: false });
  // What clients say wrong is theirs.
  server.on("warning", () => {});
  server.on("error", (error) => {
    throw error;
  });
  server.listen(0, { udp: "127.0.0.1", udp6: "::1" }, () =>
    console.log(JSON.stringify({ port: server.udp4.address().port })),
  );
  process.stdin.resume().once("end", () => process.exit(0));
} catch (error) {
  console.error(`${NAME}: ${(error as Error).message}`);
  process.exit(1);
}
