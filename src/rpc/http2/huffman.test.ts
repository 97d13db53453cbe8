// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { test } from "node:test";
import { contentOf, FrameReader, FrameType, frame, preface, settingsFrame } from "./frames.ts";
import { decodeHeaders, encodeHeaders } from "./header-block.ts";
import { decodeHuffman } from "./huffman.ts";

test("headers of Node's server are read: all that it sends by its table, in Huffman's code, and in full", async () => {
  const texts = Array.from({ length: 256 }, (_, code) => `x${String.fromCharCode(code).repeat(9)}y`)
    .filter((_, code) => code >= 32 && code !== 127)
    .concat("a", "long ".repeat(3000));
  const sent = Object.fromEntries(texts.map((text, index) => [`x-${index}`, text]));
  const server = http2.createServer({ maxHeaderListPairs: 1000 });
  server.on("stream", (stream: http2.ServerHttp2Stream) => {
    stream.respond({ ":status": 200, etag: "1", ...sent }, { endStream: true });
  });
  server.listen(0);
  await once(server, "listening");
  const socket = net.connect((server.address() as net.AddressInfo).port);
  const request = encodeHeaders([
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "x"],
  ]);
  socket.write(Buffer.concat([preface, settingsFrame(new Map([[1, 0]])), frame(1, 5, 1, request)]));
  const reader = new FrameReader();
  const parts: Buffer[] = [];
  for await (const chunk of socket) {
    for (const one of reader.push(chunk as Buffer)) {
      if (one.type === FrameType.headers) parts.push(contentOf(one));
      if (one.type === FrameType.continuation) parts.push(one.payload);
      if (parts.length > 0 && (one.flags & 4) !== 0) socket.end();
    }
  }
  server.close();
  const found = decodeHeaders(Buffer.concat(parts));
  assert.equal(found.get(":status"), "200");
  assert.equal(found.get("etag"), "1");
  for (const [name, text] of Object.entries(sent)) assert.equal(found.get(name), text, name);
});

test("a text that ends within a code, or has the end within, is refused", () => {
  assert.equal(decodeHuffman(Buffer.from("f1e3c2e5f23a6ba0ab90f4ff", "hex")), "www.example.com");
  for (const bad of ["00ff00", "ffffffff", "fe", "ff".repeat(9)]) {
    assert.throws(() => decodeHuffman(Buffer.from(bad, "hex")), Error, bad);
  }
  for (const bad of ["ff", "bf", "0005aa", "3fe11f", "7f"]) {
    assert.throws(() => decodeHeaders(Buffer.from(bad, "hex")), Error, bad);
  }
});
