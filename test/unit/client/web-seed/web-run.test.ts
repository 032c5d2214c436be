// A run of blocks from a web server that a test answers for: how bytes become blocks, however they come.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { WebRun } from "../../../../src/client/web-seed/web-run.js";
import { WebSeedHttp } from "../../../../src/client/web-seed/web-seeds.js";
import { SystemNames } from "../../../../src/native/names.js";
import { bytesOf } from "../../../support/data.js";
import { serveHttp } from "../../../support/http-server.js";

const LENGTH = 3 * BLOCK_SIZE + 100;

describe("a run of a web seed", { timeout: 120_000 }, () => {
  it("brings blocks in few parts, also where the server sends them byte by byte", async (t) => {
    const data = bytesOf(9, LENGTH);
    const server = await serveHttp(t, (_request, response) => {
      const { socket } = response;
      assert.ok(socket !== null);
      const head = `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-${LENGTH - 1}/${LENGTH}\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const chunks = [...data].map((byte) => Buffer.from([0x31, 13, 10, byte, 13, 10]));
      socket.end(Buffer.concat([Buffer.from(head), ...chunks, Buffer.from("0\r\n\r\n")]));
    });
    const http = new WebSeedHttp(SYSTEM_GROUND, new SystemNames(SYSTEM_GROUND));
    t.after(() => http.close());
    const files = [{ path: ["data"], length: LENGTH, offset: 0, padding: false }];
    const layout = new Layout({ pieceLength: 2 * BLOCK_SIZE, totalLength: LENGTH, files });
    const blocks: (readonly Uint8Array[])[] = [];
    const error = await new Promise<Error | undefined>((resolve) => {
      const run = { base: new URL(`${server.origin}/data`), layout, isSingleFile: true, from: 0, to: LENGTH };
      new WebRun(
        { http, ground: SYSTEM_GROUND, ...run },
        { blockCame: (_piece, _block, parts) => void blocks.push(parts), runEnded: resolve },
      );
    });
    assert.equal(error, undefined);
    assert.equal(blocks.length, 4);
    for (const parts of blocks) assert.ok(parts.length <= 8, `a block in ${parts.length} parts`);
    assert.deepEqual(Buffer.concat(blocks.flat()), Buffer.from(data));
  });
});
