// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { encodeExactJson, ociInteger, parseExactJson } from "../../../src/oci/encode-spec.ts";
import {
  cgroupsPath,
  cgroupsPathIn,
  clampOomScore,
  mappedRootGid,
} from "../../../src/runtime/bundle/spec-text.ts";
import { ByteSource } from "../byte-source.ts";
import { type FuzzTarget, refused } from "../target.ts";

const spec =
  '{"process":{"args":["sh"],"oomScoreAdj":-998},"linux":{"cgroupsPath":"/k8s.io/x","gidMappings":[{"containerID":0,"hostID":65536,"size":65536}]}}';

/** Specs as clients send them: what is taken from their text is what is in their JSON, and all else stays as it is. */
export const target: FuzzTarget = {
  name: "spec-text",
  parses: ["src/runtime/bundle/spec-text.ts", "src/oci/encode-spec.ts"],
  dictionary: [
    '"oomScoreAdj":',
    '"cgroupsPath":',
    '"gidMappings":',
    '"hostID":',
    '"containerID":0',
    "\\u0022",
    '\\"',
    "18446744073709551615",
    "-1000",
    "1e3",
    "[",
    "{",
    "null",
  ],
  seeds: () => [
    Buffer.from(`\0${spec}`),
    Buffer.from(`\0${spec.replace('"sh"', '"\\"cgroupsPath\\":\\"/x\\""')}`),
    Buffer.from('\0{"a":18446744073709551615,"b":9007199254740993}'),
    Buffer.from(Array.from({ length: 60 }, (_, at) => (at * 53) | 1)),
  ],
  run: (input) => {
    const source = new ByteSource(input);
    if (source.bool()) checkDrawn(source);
    else checkAny(source.rest());
  },
};

const words = [
  "oomScoreAdj",
  '"oomScoreAdj":-5',
  "cgroupsPath",
  '"cgroupsPath":"/wrong"',
  "gidMappings",
  "a\\",
  'q"',
  "/k8s.io/x",
  "ä\u2028",
  "",
];

function checkDrawn(source: ByteSource): void {
  const value = (depth: number): unknown => {
    switch (source.below(depth > 2 ? 4 : 6)) {
      case 0:
        return ociInteger(source.signed());
      case 1:
        return source.pick(words);
      case 2:
        return source.pick([true, false, null, 0.5, -0.25]);
      case 3:
        return ociInteger(source.unsigned());
      case 4:
        return source.list(3, () => value(depth + 1));
      default:
        return Object.fromEntries(source.list(3, () => [source.pick(words), value(depth + 1)]));
    }
  };
  const any = value(0);
  const bytes = Buffer.from(encodeExactJson(any));
  assert.deepEqual(parseExactJson(bytes.toString("utf8")), any);

  const score = source.below(2001) - 1000;
  const [path, host] = [source.pick(words), source.below(65_536)];
  const whole = {
    process: { args: source.list(3, () => source.pick(words)), oomScoreAdj: score },
    annotations: Object.fromEntries(source.list(3, () => [source.pick(words), source.pick(words)])),
    limits: source.list(2, () => ociInteger(source.unsigned())),
    linux: {
      cgroupsPath: path,
      gidMappings: [
        { containerID: 5, hostID: 1, size: 1 },
        { containerID: 0, hostID: host, size: 1 },
      ],
    },
  };
  const text = Buffer.from(encodeExactJson(whole));
  assert.equal(cgroupsPathIn(text), path);
  assert.equal(cgroupsPath(text.toString("utf8")), path);
  assert.equal(mappedRootGid(text), host);
  const floor = source.below(2001) - 1000;
  const clamped = parseExactJson(Buffer.from(clampOomScore(text, floor)).toString("utf8"));
  assert.deepEqual(clamped, {
    ...whole,
    process: { ...whole.process, oomScoreAdj: Math.max(score, floor) },
  });
}

function checkAny(bytes: Buffer): void {
  const floor = -500;
  const clamped = Buffer.from(clampOomScore(bytes, floor));
  if (!bytes.includes('"oomScoreAdj"')) assert.deepEqual(clamped, bytes);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch {
    // What is no JSON is refused by whoever asks, in words.
    for (const read of [
      () => cgroupsPathIn(bytes),
      () => mappedRootGid(bytes),
      () => cgroupsPath(bytes.toString("utf8")),
    ]) {
      try {
        read();
      } catch (error) {
        refused(error, "INVALID_ARGUMENT");
      }
    }
    return;
  }
  const after: unknown = JSON.parse(clamped.toString("utf8"));
  assert.deepEqual(withoutScores(after), withoutScores(json));
  checkScores(after, floor);
  const linux = fieldOf(json, "linux");
  const place = fieldOf(linux, "cgroupsPath");
  const wanted = typeof place === "string" ? place : "";
  assert.equal(cgroupsPath(bytes.toString("utf8")), wanted);
  // The quick way may find the key elsewhere in a spec that is none, but never misses it.
  if (wanted !== "") assert.equal(cgroupsPathIn(bytes), wanted);
  const gid = mappedRootGid(bytes);
  assert.ok(gid === undefined || typeof gid === "number");
  if (!Number.isInteger(gid ?? 0)) assert.fail(`gid ${gid}`);
  checkExact(bytes.toString("utf8"));
}

function checkExact(text: string): void {
  if (/\d[eE]|-0/.test(text)) return; // an integer by its value only, and a zero that has a sign
  const exact = parseExactJson(text);
  const again = Buffer.from(encodeExactJson(exact)).toString("utf8");
  assert.deepEqual(parseExactJson(again), exact);
  const integers = (value: string): string[] =>
    value.match(/(?<![\d.eE"+-])-?\d{16,}(?![\d.eE"])/g) ?? [];
  if (!text.includes('"'))
    assert.ok(
      integers(text).every((digits) => again.includes(digits.replace(/^-?0+(?=\d)/, ""))) ||
        /[[{]/.test(text),
    );
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

const isScore = (key: string, value: unknown): boolean =>
  key === "oomScoreAdj" && typeof value === "number";

function withoutScores(value: unknown): string {
  return (
    JSON.stringify(value, (key, field: unknown) => (isScore(key, field) ? "score" : field)) ?? ""
  );
}

function checkScores(value: unknown, floor: number): void {
  JSON.stringify(value, (key, field: unknown) => {
    if (isScore(key, field)) assert.ok((field as number) >= floor, `score ${String(field)}`);
    return field;
  });
}
