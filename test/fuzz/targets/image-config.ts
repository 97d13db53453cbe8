// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type ImageDocument, parseImageDocument } from "../../../src/images/manifest/documents.ts";
import { goField, goTextList, type Json, json, repeated, repeatedList } from "../models/json.ts";
import { type FuzzTarget, refused } from "../target.ts";

const digest = (byte: string): string => `sha256:${byte.repeat(32)}`;
const rootfs = { type: "layers", diff_ids: [digest("01"), digest("02")] };
const process = {
  User: "1000:1000",
  Env: ["PATH=/bin:/usr/bin", "A=b"],
  Entrypoint: ["/bin/sh", "-c"],
  Cmd: ["true"],
  WorkingDir: "/work",
  Volumes: { "/data": {}, "/cache": {} },
  StopSignal: "SIGTERM",
  Labels: { maintainer: "somebody", "org.example.name": "ü" },
};
const documents: readonly object[] = [
  { os: "linux", architecture: "arm64", variant: "v8", config: process, rootfs },
  { os: "linux", architecture: "amd64", config: null, rootfs: { diff_ids: null } },
  { Config: { ENV: [null, "A=b"], user: "1", LABELS: { a: null } }, rootFS: { Diff_Ids: null } },
  { Config: { ENV: [1] }, config: null, RootFs: null, OS: "linux" },
  { config: { Env: null, Cmd: null, Labels: null, Volumes: null, User: null }, rootfs: {} },
  { rootfs: { diff_ids: [digest("01"), "×500"] } },
  { rootfs: { diff_ids: [digest("01"), "×501"] } },
  { config: { Env: ["A=b", "×20000"] }, rootfs },
  { config: { Cmd: ["a", "×20001"] }, rootfs },
  // 256 KiB in words, each of which costs eight more; and a word more.
  { config: { Env: ["x".repeat(504), "×512"] }, rootfs },
  { config: { Env: ["x".repeat(504), "×512"], User: "u" }, rootfs },
  // One word too many in each list, and in each text.
  ...["Env", "Entrypoint", "Cmd"].map((name) => ({
    config: { [name]: ["x".repeat(504), "×513"] },
    rootfs,
  })),
  ...["WorkingDir", "User"].map((name) => ({
    config: { Env: ["x".repeat(504), "×511"], [name]: "x".repeat(497) },
    rootfs,
  })),
  { config: { Env: ["x".repeat(504), "×511"], Volumes: { ["x".repeat(497)]: {} } }, rootfs },
  { config: { Labels: { a: "x".repeat(4095), b: "x".repeat(4096), c: "d" } }, rootfs },
  { os: "o".repeat(1024), architecture: "a".repeat(1025), rootfs },
];

export const target: FuzzTarget = {
  name: "image-config",
  parses: [
    "src/images/manifest/documents.ts",
    "src/images/manifest/document-limits.ts",
    "src/images/manifest/go-json.ts",
  ],
  maxBytes: 12_000,
  dictionary: [
    ...["User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Volumes", "StopSignal", "Labels"].map(
      (name) => `"${name}":`,
    ),
    '"rootfs":{"diff_ids":[]},',
    '"config":{},',
    digest("0f"),
    "null",
    "[]",
    "{}",
    '""',
    "1",
    '"×500"',
    '"×20001"',
    '"__proto__":',
    "\xed\xa0\x80",
  ],
  *seeds() {
    for (const document of documents) yield repeated(document);
  },
  run(input) {
    const bytes = repeatedList(input);
    const expected = slowly(json(bytes));
    let read: ImageDocument | undefined;
    try {
      read = parseImageDocument(bytes, "config sha256:abc");
    } catch (error) {
      refused(error, "FAILED_PRECONDITION");
      const { message } = error as Error;
      assert.ok(message.length < 1500 && message.startsWith("config sha256:abc"), message);
    }
    assert.deepEqual(read, expected);
  },
};

/** The same by hand; undefined for what is refused. */
function slowly(value: Json): ImageDocument | undefined {
  const at = (...path: string[]): Json => goField(value, ...path);
  const isFew = (list: Json, limit: number): boolean =>
    typeof list !== "object" || list === null || Object.keys(list).length <= limit;
  if (!isFew(at("rootfs", "diff_ids"), 500) || !isFew(at("manifests"), 5000)) return;
  if (!isFew(at("layers"), 500)) return;
  for (const name of ["Env", "Entrypoint", "Cmd", "Volumes", "Labels"]) {
    if (!isFew(at("config", name), 20_000)) return;
  }
  const isObject = (some: Json): boolean =>
    typeof some === "object" && some !== null && !Array.isArray(some);
  if (value === undefined || !(value === null || isObject(value))) return;
  for (const part of [at("config"), at("rootfs")]) {
    if (part !== undefined && !isObject(part)) return;
  }

  let isBad = false;
  const text = (some: Json, most = Number.POSITIVE_INFINITY): string => {
    if (some === undefined) return "";
    if (typeof some === "string" && some.length <= most) return some;
    isBad = true;
    return "";
  };
  const texts = (some: Json): string[] => {
    const list = goTextList(some);
    isBad ||= list === undefined;
    return list ?? [];
  };
  const pairs = (some: Json): [string, Json][] => {
    if (some === undefined) return [];
    if (isObject(some)) return Object.entries(some as Record<string, Json>);
    isBad = true;
    return [];
  };
  const diffIds = texts(at("rootfs", "diff_ids"));
  if (!diffIds.every((id) => id.length === 71 && /^sha256:[0-9a-f]+$/.test(id))) return;
  const platform = {
    os: text(at("os"), 1024),
    architecture: text(at("architecture"), 1024),
    variant: text(at("variant"), 1024),
  };
  const labels = pairs(at("config", "Labels")).map(([name, label]) => [name, label ?? ""] as const);
  if (labels.some(([, label]) => typeof label !== "string")) return;
  const read = {
    user: text(at("config", "User")),
    env: texts(at("config", "Env")),
    entrypoint: texts(at("config", "Entrypoint")),
    cmd: texts(at("config", "Cmd")),
    workingDir: text(at("config", "WorkingDir")),
    volumes: pairs(at("config", "Volumes")).map(([name]) => name),
    stopSignal: text(at("config", "StopSignal"), 1024),
    labels: usable(labels as readonly (readonly [string, string])[]),
  };
  if (isBad) return;
  const { user, env, entrypoint, cmd, workingDir, volumes, stopSignal } = read;
  const words = [user, workingDir, stopSignal, ...env, ...entrypoint, ...cmd, ...volumes];
  const bytes = words
    .map((word) => Buffer.from(word).length + 8)
    .reduce((sum, one) => sum + one, 0);
  if (bytes > 256 * 1024) return;
  return { platform, config: read, diffIds: diffIds as unknown as ImageDocument["diffIds"] };
}

function usable(labels: readonly (readonly [string, string])[]): Record<string, string> {
  const kept: (readonly [string, string])[] = [];
  let room = 128 * 1024;
  for (const [key, value] of labels) {
    const bytes = Buffer.from(key + value).length;
    if (bytes > 4096 || bytes > room) continue;
    room -= bytes;
    kept.push([key, value]);
  }
  return Object.fromEntries(kept);
}
