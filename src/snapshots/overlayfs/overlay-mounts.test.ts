// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type OverlayLayout, overlayMounts } from "./overlay-mounts.ts";

const base = "/var/lib/berthd/snapshots/overlayfs/snapshots";
const layout = (kind: OverlayLayout["kind"], parents: number): OverlayLayout => ({
  kind,
  base,
  own: `${base}/9`,
  lowers: Array.from({ length: parents }, (_, at) => `${base}/${parents - at}/fs`),
  indexOff: true,
});

const cases: readonly (readonly [OverlayLayout["kind"], number, unknown])[] = [
  ["ACTIVE", 0, { type: "bind", source: `${base}/9/fs`, options: ["rw", "rbind"] }],
  ["VIEW", 0, { type: "bind", source: `${base}/9/fs`, options: ["ro", "rbind"] }],
  ["VIEW", 1, { type: "bind", source: `${base}/1/fs`, options: ["ro", "rbind"] }],
  [
    "ACTIVE",
    1,
    {
      type: "overlay",
      source: "overlay",
      options: [
        "index=off",
        `workdir=${base}/9/work`,
        `upperdir=${base}/9/fs`,
        `lowerdir=${base}/1/fs`,
      ],
    },
  ],
  [
    "VIEW",
    2,
    {
      type: "overlay",
      source: "overlay",
      options: ["index=off", `lowerdir=${base}/2/fs:${base}/1/fs`],
    },
  ],
];

for (const [kind, parents, expected] of cases) {
  test(`${kind} on ${parents} layers is mounted as containerd does`, () => {
    assert.deepEqual(overlayMounts(layout(kind, parents)), [
      { target: "", ...(expected as object) },
    ]);
  });
}

test("more layers than overlayfs takes are refused in words", () => {
  assert.equal(overlayMounts(layout("ACTIVE", 127)).length, 1);
  assert.throws(() => overlayMounts(layout("ACTIVE", 600)), {
    code: "FAILED_PRECONDITION",
    message: /600 layers/,
  });
});
