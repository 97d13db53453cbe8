// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { withoutRepeatedLength } from "./repeated-length.ts";

const head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
const twice = `${head}content-length: 2\r\n\r\n{}`;
const maxBytes = 80 * 1024;

/** What a socket's reader gets of these pieces, before the connection ends. */
function readerGets(pieces: readonly string[]): string[] {
  using socket = new Held();
  withoutRepeatedLength(socket, maxBytes);
  const got: string[] = [];
  socket.on("data", (piece: Buffer) => void got.push(piece.toString("latin1")));
  for (const piece of pieces) socket.emit("data", Buffer.from(piece, "latin1"));
  return got;
}

class Held extends Socket {
  [Symbol.dispose](): void {
    this.destroy();
  }
}

test("a length that an answer repeats is taken out, wherever its pieces end", () => {
  for (let at = 1; at < twice.length; at += 1) {
    const got = readerGets([twice.slice(0, at), twice.slice(at)]);
    assert.equal(got.join(""), `${head}\r\n{}`, `cut at ${at}`);
  }
  assert.equal(readerGets(twice.split("")).join(""), `${head}\r\n{}`);
  assert.equal(
    readerGets([twice.replaceAll("\r", "")]).join(""),
    `${head}\r\n{}`.replaceAll("\r", ""),
  );
  const other = twice.replace("content-length: 2", "content-length: 3");
  assert.equal(readerGets([other]).join(""), other);
});

test("a head in very many pieces is handed on as it is", () => {
  const pieces = `${head}X: ${"x".repeat(65_536)}`.split("");
  const got = readerGets(pieces);
  assert.equal(got.join(""), pieces.join(""));
});
