// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../content/digest.ts";
import { parseManifest } from "./documents.ts";
import { fieldOf } from "./go-json.ts";

// What Go 1.24's encoding/json takes for a field "manifests", "digest" or "config".
const names: readonly (readonly [key: string, name: string, isIt: boolean])[] = [
  ["manifests", "manifests", true],
  ["MANIFESTS", "manifests", true],
  ["manife\u017ft\u017f", "manifests", true],
  ["\u212aey", "key", true],
  ["man\u0131fests", "manifests", false],
  ["manife\ufb06s", "manifests", false],
  ["con\ufb01g", "config", false],
  ["di\ufb00_ids", "diff_ids", false],
];

for (const [key, name, isIt] of names) {
  test(`"${key}" is ${isIt ? "" : "not "}the field "${name}"`, () => {
    assert.equal(fieldOf({ [key]: 1 }, name), isIt ? 1 : undefined);
  });
}

const entry = (name: string, more: object = {}) => ({
  digest: digestOf(name),
  size: 1,
  platform: { os: "linux", architecture: "amd64" },
  ...more,
});
const read = (document: object) => parseManifest(Buffer.from(JSON.stringify(document)), "it");

test("a document that has what decides twice, in other cases, is refused", () => {
  for (const [name, document] of [
    ["manifests", { manifests: [entry("a")], Manifests: [entry("b")] }],
    ["manifests", { manifests: [entry("a")], MANIFESTS: null }],
    ["config", { config: entry("a"), Config: entry("b"), layers: [] }],
  ] as const) {
    assert.throws(() => read(document), {
      code: "FAILED_PRECONDITION",
      message: `it has "${name}" twice, in other cases`,
    });
  }
});

test("entries that cannot be followed keep what they are for", () => {
  const index = read({
    manifests: [
      entry("a"),
      entry("b", { digest: "sha512:ab" }),
      null,
      "x",
      { digest: "sha512:ab" },
    ],
  });
  assert.ok(index.kind === "index");
  assert.deepEqual(
    [index.manifests.map(({ digest }) => digest), index.broken],
    [
      [digestOf("a")],
      [
        {
          platform: { os: "linux", architecture: "amd64", variant: "" },
          problem: "not a sha256 digest",
        },
      ],
    ],
  );
});
