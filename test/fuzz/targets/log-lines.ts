// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import { LogReader } from "../../../src/cli/streaming/log-reader.ts";
import { LineFormatter, type LineSink, type StreamName } from "../../../src/logs/line-formatter.ts";
import { LogFile } from "../../../src/logs/log-file.ts";
import { mendTail } from "../../../src/logs/mend-tail.ts";
import { ByteSource } from "../byte-source.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { pieces } from "../support/cuts.ts";
import type { FuzzTarget } from "../target.ts";

const time = Buffer.from("2026-11-23T22:20:00.123456789Z");
/**
 * What containers print, as lines of a CRI log: however it is cut it gives the same lines, a kubelet reads them, and
 * together they are what was printed. A file that a crash or a full disk has cut ends with a whole line again.
 */
export const target: FuzzTarget = {
  name: "log-lines",
  parses: [
    "src/logs/line-formatter.ts",
    "src/logs/mend-tail.ts",
    "src/logs/log-file.ts",
    "src/cli/streaming/log-reader.ts",
  ],
  dictionary: [
    "\n",
    "\r\n",
    "\r",
    "\r\r\n",
    "2026-11-23T22:20:00.123456789Z stdout F ",
    "ä€",
    "\xff",
  ],
  // Lines of a byte each, which are written one by one.
  maxBytes: 400,
  seeds: () =>
    [
      "\0one\ntwo\r\nthree",
      "\u0005aaaaaaaaaaaa\r\nbbbbbbbbbbbbbbb\r",
      "\u0003äöü€\n\n\n\r\n",
      "\u0007",
    ].map((text) => Buffer.from(text)),
  run: (input) => {
    const source = new ByteSource(input);
    const max = source.below(20);
    const stream = source.pick<StreamName>(["stdout", "stderr"]);
    const cuts = source.bytes(12);
    const faults = new ByteSource(source.bytes(8));
    const output = source.rest();
    const lines = formatted([output], max, stream);
    assert.deepEqual(formatted(pieces(output, cuts), max, stream), lines, "cut up");
    assert.deepEqual(lines.map(shown), wantedLines(output, max).map(shown));
    for (const line of lines) checkPrefix(line, stream);
    checkRead(lines, output, stream, cuts);
    const text = Buffer.concat(lines);
    checkMended(text, faults);
    checkWritten(lines, faults);
    checkAnyTail(output);
  },
};

function formatted(pieces: readonly Buffer[], max: number, stream: StreamName): Buffer[] {
  const lines: Buffer[] = [];
  let buffer = Buffer.alloc(64, 0xee);
  const sink: LineSink = {
    get buffer() {
      return buffer;
    },
    reserve: (bytes) => {
      buffer = Buffer.alloc(bytes + 3, 0xee);
      return 3;
    },
    commit: (bytes) => void lines.push(Buffer.from(buffer.subarray(3, 3 + bytes))),
  };
  const formatter = new LineFormatter(stream, max, sink);
  for (const piece of pieces) {
    const chunk = Buffer.from(piece); // which is reused
    formatter.push(chunk, time);
    chunk.fill(0xdd);
    assert.ok(formatter.pendingBytes <= Math.max(max, 0) + 1 || max === 0);
  }
  formatter.end(time);
  return lines;
}

/** Tag and content of each line. */
function wantedLines(output: Buffer, max: number): Buffer[] {
  const lines: Buffer[] = [];
  const limit = max > 0 ? max : Number.POSITIVE_INFINITY;
  const add = (tag: string, content: Buffer): void =>
    void lines.push(
      Buffer.concat([Buffer.from(`${" ".repeat(38)}${tag} `), content, Buffer.from("\n")]),
    );
  const split = (content: Buffer, last: string): void => {
    let rest = content;
    for (; rest.length > limit; rest = rest.subarray(limit)) add("P", rest.subarray(0, limit));
    add(last, rest);
  };
  let from = 0;
  for (let at = output.indexOf(10); at !== -1; at = output.indexOf(10, from)) {
    const end = at > from && output[at - 1] === 13 ? at - 1 : at;
    split(output.subarray(from, end), "F");
    from = at + 1;
  }
  if (from < output.length) split(output.subarray(from), "P");
  return lines;
}

const shown = (line: Buffer): string => line.toString("latin1", 38);

/** As a kubelet takes a line apart: time, stream and tags, each with a blank behind it. */
function checkPrefix(line: Buffer, stream: StreamName): void {
  const [stamp = "", name, tag] = line.toString("latin1").split(" ");
  assert.ok(!Number.isNaN(Date.parse(stamp)));
  assert.equal(name, stream);
  assert.ok(tag === "F" || tag === "P");
  assert.equal(line.indexOf(10), line.length - 1);
}

/** `berth logs` prints what the container has printed. */
function checkRead(
  lines: readonly Buffer[],
  output: Buffer,
  stream: StreamName,
  cuts: Buffer,
): void {
  const got = { out: "", error: "" };
  const io = {
    out: (text: string) => void (got.out += text),
    error: (text: string) => void (got.error += text),
  };
  const reader = new LogReader(io, { tail: undefined, sinceMs: undefined, timestamps: false });
  for (const piece of pieces(Buffer.concat(lines), cuts)) reader.push(piece);
  reader.caughtUp();
  assert.equal(stream === "stdout" ? got.error : got.out, "");
  const printed = stream === "stdout" ? got.out : got.error;
  const wanted = Buffer.from(output.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
  // A character that nothing follows is still waited for.
  if (wanted.at(-1) === 10 || wanted.length === 0) assert.equal(printed, decoded(wanted));
  else assert.ok(decoded(wanted).startsWith(printed.slice(0, -1)));
}

/** Line by line: one that is no UTF-8 does not take a byte of the next. */
function decoded(bytes: Buffer): string {
  return bytes.toString("utf8");
}

/** A daemon that is killed leaves any part of its last line. */
function checkMended(text: Buffer, source: ByteSource): void {
  const cut = text.length === 0 ? 0 : source.below(65_536) % (text.length + 1);
  const mended = mendedFile(text.subarray(0, cut));
  const whole = text.subarray(0, text.lastIndexOf(10, cut - 1) + 1);
  const begun = cut === 0 ? Buffer.alloc(0) : text.subarray(whole.length, cut);
  const wanted = begun.length >= 40 ? Buffer.concat([whole, begun, Buffer.from("\n")]) : whole;
  assert.deepEqual(
    mended.toString("latin1"),
    (cut === 0 ? Buffer.alloc(0) : wanted).toString("latin1"),
  );
}

function checkAnyTail(bytes: Buffer): void {
  const mended = mendedFile(bytes);
  assert.ok(mended.length === 0 || mended.at(-1) === 10);
  const whole = bytes.subarray(0, bytes.lastIndexOf(10) + 1);
  assert.ok(mended.subarray(0, whole.length).equals(whole), "whole lines stay");
  assert.ok(mended.length <= bytes.length + 1);
}

function mendedFile(bytes: Buffer): Buffer {
  const file = `${scratchFolder("log-lines")}/mended`;
  fs.writeFileSync(file, bytes);
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_APPEND);
  try {
    mendTail(fd);
  } finally {
    fs.closeSync(fd);
  }
  return fs.readFileSync(file);
}

/** A disk that is full now and then, in the middle of a line as well: the file has whole lines, and all bytes are counted. */
function checkWritten(lines: readonly Buffer[], source: ByteSource): void {
  const file = `${scratchFolder("log-lines")}/log`;
  fs.rmSync(file, { force: true });
  const losses = { began: 0, ended: 0 };
  let room = 0;
  const log = new LogFile(
    { file, folder: scratchFolder("log-lines") },
    { began: () => void (losses.began += 1), ended: () => void (losses.ended += 1) },
    {
      write: (fd, buffer, offset, length) => {
        if (room <= 0) room = source.left === 0 ? 100_000 : source.below(80);
        else if (room < length) {
          const part = fs.writeSync(fd, buffer, offset, room);
          room = 0;
          return part;
        }
        if (room === 0) throw Object.assign(new Error("full"), { code: "ENOSPC" });
        const written = fs.writeSync(fd, buffer, offset, Math.min(length, room));
        room -= written;
        return written;
      },
    },
  );
  log.open();
  for (let at = 0; at < lines.length; ) {
    const group = lines.slice(at, at + 1 + (source.left === 0 ? 1 : source.below(3)));
    const bytes = Buffer.concat(group);
    log.append(bytes, bytes.length, group.length);
    at += group.length;
  }
  // There is room again, so what was torn is finished.
  while (source.left > 0) source.byte();
  room = 100_000;
  const last = Buffer.concat([time, Buffer.from(" stdout F the last\n")]);
  log.append(last, last.length, 1);
  const counts = log.counts();
  log.close();
  const kept = fs.readFileSync(file);
  assert.ok(kept.toString("latin1").endsWith(last.toString("latin1")));
  const all = [...lines, last].map((line) => line.toString("latin1"));
  const found = kept
    .toString("latin1")
    .split("\n")
    .slice(0, -1)
    .map((line) => `${line}\n`);
  let next = 0;
  for (const line of found) {
    const at = all.indexOf(line, next);
    assert.ok(at >= 0, `torn, doubled or out of order: ${JSON.stringify(line)}`);
    next = at + 1;
  }
  const total = all.reduce((sum, line) => sum + line.length, 0);
  assert.deepEqual(counts, {
    lines: found.length,
    bytes: kept.length,
    lostBytes: total - kept.length,
  });
  assert.equal(losses.began, losses.ended);
  assert.ok(losses.began > 0 || counts.lostBytes === 0);
}
