// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  FlatFile,
  parseLimit,
  parseNumber,
  parsePressure,
  workingSet,
} from "../../../src/metrics/cgroup/cgroup-files.ts";
import { parseBlkio } from "../../../src/metrics/cgroup/cgroup-v1.ts";
import { parseIoStat } from "../../../src/metrics/cgroup/cgroup-v2.ts";
import { ByteSource } from "../byte-source.ts";
import type { FuzzTarget } from "../target.ts";

const flat = "usage_usec 5000\nuser_usec 3000\nnr_periods 10\nanon 400000\noom_kill 2\nmax 4\n";
const pressure =
  "some avg10=1.50 avg60=0.20 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n";
const ioStat = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n253:1 8:16 rbytes=5\n259:0 \n";
const blkio = "8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:16 Read 7\nTotal 3\n";

/** The texts of cgroup files, of both versions, and any other text. */
export const target: FuzzTarget = {
  name: "cgroup-text",
  parses: [
    "src/metrics/cgroup/cgroup-files.ts",
    "src/metrics/cgroup/cgroup-v1.ts",
    "src/metrics/cgroup/cgroup-v2.ts",
  ],
  dictionary: [
    "max",
    "some ",
    "full ",
    "avg10=",
    "total=",
    "8:0 ",
    "rbytes=",
    "wios=",
    "Read ",
    "\n",
    "9223372036854771712",
  ],
  seeds: () =>
    [flat, pressure, ioStat, blkio, "max\n", "4096\n", "9223372036854771712\n"].map((text) =>
      Buffer.from(text),
    ),
  run: (input) => {
    const text = input.toString("utf8");
    checkNumbers(text);
    checkFlat(text);
    checkPressure(text);
    checkIoStat(text);
    checkBlkio(text, new ByteSource(input));
  },
};

const digits = (text: string): boolean => /^[0-9]+$/.test(text) && !text.includes("\n");

function checkNumbers(text: string): void {
  const number = parseNumber(text);
  assert.equal(number, digits(text.trim()) ? BigInt(text.trim()) : undefined);
  // 2^62, which is not a limit any more, and one less.
  const limit = parseLimit(text);
  assert.equal(
    limit,
    number !== undefined && number < 4_611_686_018_427_387_904n ? number : undefined,
  );
  if (number !== undefined) {
    assert.equal(workingSet(number, 5n), number < 5n ? 0n : number - 5n);
    assert.equal(workingSet(5n, number), number > 5n ? 0n : 5n - number);
  }
}

/** Lines of `key value`: the last of a key counts. */
function checkFlat(text: string): void {
  const wanted = new Map<string, bigint>();
  for (const line of text.split("\n")) {
    const [key = "", ...rest] = line.split(" ");
    const value = rest.join(" ").trim();
    if (rest.length > 0 && digits(value)) wanted.set(key, BigInt(value));
  }
  const file = new FlatFile(text);
  for (const [key, value] of wanted) assert.equal(file.find(key), value, key);
  for (const key of ["__proto__", "constructor", "nr_periods", "oom_kill", "x"]) {
    assert.equal(file.find(key), wanted.get(key));
    assert.equal(file.get(key), wanted.get(key) ?? 0n);
  }
}

function checkPressure(text: string): void {
  const found = parsePressure(text);
  assert.ok(found);
  for (const kind of ["some", "full"] as const) {
    const line =
      text.split("\n").find((one) => one.split(" ")[0] === kind && one.includes(" ")) ?? "";
    const value = (name: string): string | undefined =>
      line
        .split(" ")
        .findLast((part) => part.startsWith(`${name}=`))
        ?.split("=")[1];
    const total = value("total")?.trim() ?? "";
    assert.equal(found[kind].totalNanos, digits(total) ? BigInt(total) * 1000n : 0n);
    for (const name of ["avg10", "avg60", "avg300"] as const) {
      const average = value(name) ?? "0";
      const plain = /^\d+(?:\.\d+)?$/.test(average);
      assert.equal(found[kind][name], plain ? Number(average) : 0, `${kind} ${name}`);
    }
  }
}

/** A device without figures has no line end of its own on some kernels: the next one follows it. */
function checkIoStat(text: string): void {
  const wanted = [];
  const isDevice = (word: string): boolean => {
    const parts = word.split(":");
    return parts.length === 2 && parts.every(digits);
  };
  for (const line of text.split("\n")) {
    const words = line.split(" ");
    if (!isDevice(words[0] ?? "")) continue;
    for (let at = 0; at < words.length; at += 1) {
      if (!isDevice(words[at] ?? "")) continue;
      const [major, minor] = (words[at] ?? "").split(":").map(Number);
      let end = words.findIndex((word, index) => index > at && isDevice(word));
      if (end < 0) end = words.length;
      const value = (name: string): bigint => {
        const word = words.slice(at + 1, end).findLast((one) => one.startsWith(`${name}=`));
        const figure = word?.split("=")[1]?.trim() ?? "";
        return digits(figure) ? BigInt(figure) : 0n;
      };
      wanted.push({
        major,
        minor,
        readBytes: value("rbytes"),
        writeBytes: value("wbytes"),
        reads: value("rios"),
        writes: value("wios"),
      });
    }
  }
  assert.deepEqual(parseIoStat(text), wanted);
}

function checkBlkio(text: string, source: ByteSource): void {
  const half = source.below(65536) % (text.length + 1);
  const [bytes, operations] = [text.slice(0, half), text.slice(half)];
  const value = (part: string, device: string, kind: string): bigint => {
    const line = part.split("\n").findLast((one) => {
      const words = one.split(" ");
      return (
        words.length === 3 && words[0] === device && words[1] === kind && digits(words[2] ?? "")
      );
    });
    return BigInt(line?.split(" ")[2] ?? 0);
  };
  const samples = parseBlkio(bytes, operations);
  assert.ok(samples.length <= text.split("\n").length + 1);
  const lines = [bytes, operations].flatMap((half) => half.split("\n"));
  for (const sample of samples) {
    const device = lines
      .map((line) => line.split(" ")[0] ?? "")
      .find((name) => {
        if (!/^\d+:\d+$/.test(name)) return false;
        const [major, minor] = name.split(":").map(Number);
        return major === sample.major && minor === sample.minor;
      });
    // Zeros before a number make another device of it; which one's figures these are is not told.
    if (device === undefined || lines.some((line) => /\b0\d/.test(line))) continue;
    assert.deepEqual(sample, {
      major: sample.major,
      minor: sample.minor,
      readBytes: value(bytes, device, "Read"),
      writeBytes: value(bytes, device, "Write"),
      reads: value(operations, device, "Read"),
      writes: value(operations, device, "Write"),
    });
  }
  if (bytes.split("\n").includes("8:0 Read 1"))
    assert.ok(samples.some(({ major, minor }) => major === 8 && minor === 0));
}
