// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createWriteStream, mkdtempSync, writeFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Writable } from "node:stream";
import { after, test } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { attachStdio, stdioIo, terminalIo } from "./stdio-io.ts";

const dir = mkdtempSync(path.join(tmpdir(), "berth stdio "));
after(() => removeFolderSync(dir));
const call = { signal: new AbortController().signal };

function collected(): { stream: Writable; text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}

test("stdioIo carries both outputs and stdin", async () => {
  const [out, err, stdin] = [collected(), collected(), new PassThrough()];
  const io = await stdioIo({ dir, stdin, stdout: out.stream, stderr: err.stream })("c");
  const { config } = io;
  assert.equal(config.terminal, false);
  const shimIn = await open(config.stdin, "r+");
  stdin.write("typed");
  const { bytesRead, buffer } = await shimIn.read(Buffer.alloc(16), 0, 16);
  assert.equal(buffer.toString("utf8", 0, bytesRead), "typed");
  writeFileSync(config.stdout, "to out");
  writeFileSync(config.stderr, "to err");
  await io.drained(call);
  assert.deepEqual([out.text(), err.text()], ["to out", "to err"]);
  await shimIn.close();
  await io[Symbol.asyncDispose]();
});

test("terminalIo has one output", async () => {
  const out = collected();
  await using io = await terminalIo({ dir, stdout: out.stream, stderr: out.stream })("c");
  assert.deepEqual([io.config.terminal, io.config.stdin, io.config.stderr], [true, "", ""]);
});

test("stdioIo holds the writer while the reader of its output is slow, and loses nothing", async () => {
  let taken = 0;
  const first = Promise.withResolvers<() => void>();
  const slow = new Writable({
    highWaterMark: 1,
    write: (chunk: Buffer, _encoding, done) => {
      taken += chunk.length;
      first.resolve(done);
      if (taken > 64 * 1024) done();
    },
  });
  await using io = await stdioIo({ dir, stdout: slow, stderr: collected().stream })("c");
  const total = 1024 * 1024;
  const writer = createWriteStream(io.config.stdout, { flags: "r+" });
  const written = new Promise<void>((resolve) => writer.end(Buffer.alloc(total), resolve));
  writeFileSync(io.config.stderr, "");
  const release = await first.promise;
  assert.ok(taken <= 64 * 1024, "one chunk was taken and no more");
  release();
  await written;
  await io.drained(call);
  assert.equal(taken, total);
});

test("stdioIo goes on when its output has gone", async () => {
  const gone = new PassThrough();
  gone.destroy();
  await using io = await stdioIo({ dir, stdout: gone, stderr: collected().stream })("c");
  writeFileSync(io.config.stdout, "nobody reads this");
  writeFileSync(io.config.stderr, "");
  await io.drained(call);
});

test("attachStdio joins FIFOs that are there, with what they hold", async () => {
  const first = await stdioIo({ dir, stdout: collected().stream, stderr: collected().stream })("c");
  const out = collected();
  const { config } = first;
  const shim = await open(config.stdout, "r+");
  const second = await attachStdio({ stdout: out.stream, stderr: collected().stream })(config);
  await shim.close();
  writeFileSync(config.stderr, "");
  await second[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  await assert.rejects(readFile(config.stdout), { code: "ENOENT" });
});
