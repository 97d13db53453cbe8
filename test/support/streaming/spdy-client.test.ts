// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { SpdyClient } from "./spdy-client.ts";

/** A connection whose other end takes `writes` frames and then cuts it; never a reply. */
function cutAfter(writes: number): Duplex {
  return new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      writes -= 1;
      if (writes <= 0) this.destroy();
      done();
    },
  });
}

for (const writes of [1, 2]) {
  test(`a stream ends as closed when the connection is cut after ${writes} frames, and so do later ones`, async () => {
    const client = new SpdyClient(cutAfter(writes), Buffer.alloc(0));
    const opening = Array.from({ length: writes }, () => client.open({ streamtype: "error" }));
    for (const stream of await Promise.all(opening)) assert.equal(await stream.ended, "closed");
    await client.closed;
    const late = await client.open({ streamtype: "stdout" });
    assert.equal(await late.ended, "closed");
    assert.equal(await late.text(), "");
  });
}

test("a stream that is opened while the connection goes ends as closed", async () => {
  const client = new SpdyClient(cutAfter(1), Buffer.alloc(0));
  client.destroy();
  assert.equal(await (await client.open({ streamtype: "error" })).ended, "closed");
});
