// Moves a torrent, and kills itself with SIGKILL at a call of the system: node move-fixture.js TORRENT FROM TO CALL COPIES

import { moveCalls } from "../../../../src/client/storage/move-files.js";
import { readMetainfo, Session } from "../../../../src/index.js";

const [torrentFile = "", from = "", to = "", call = "", copies = ""] = process.argv.slice(2);
const session = new Session();
const torrent = await session.add(await readMetainfo(torrentFile), { directory: from });
let calls = 0;
for (const [name, real] of Object.entries(moveCalls))
  Object.assign(moveCalls, {
    [name]: async (...args: never[]) => {
      if (++calls === Number(call)) process.kill(process.pid, "SIGKILL");
      const isBetweenFileSystems =
        copies === "true" && name === "link" && !String(args[0]).includes(".moving");
      if (isBetweenFileSystems) throw Object.assign(new Error("EXDEV"), { code: "EXDEV" });
      return (real as (...args: never[]) => Promise<unknown>)(...args);
    },
  });
await torrent.move(to);
await session.close();
