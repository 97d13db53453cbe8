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

const mappings = {
  uids: [{ containerID: 0, hostID: 65_536, size: 1000 }],
  gids: [{ containerID: 0, hostID: 131_072, size: 1000 }],
};

for (const [kind, parents, expected] of [
  ["ACTIVE", 0, ["rw", "rbind"]],
  ["VIEW", 1, ["ro", "rbind", "uidmap=0:65536:1000", "gidmap=0:131072:1000"]],
  [
    "VIEW",
    2,
    [
      "index=off",
      `lowerdir=${base}/2/fs:${base}/1/fs`,
      "uidmap=0:65536:1000",
      "gidmap=0:131072:1000",
    ],
  ],
] as const) {
  test(`${kind} on ${parents} layers for a user namespace tells how layers are mapped`, () => {
    const [mount] = overlayMounts({ ...layout(kind, parents), mappings });
    assert.deepEqual(mount?.options, expected);
  });
}

test("more layers than overlayfs takes are refused in words", () => {
  assert.equal(overlayMounts(layout("ACTIVE", 127)).length, 1);
  assert.throws(() => overlayMounts(layout("ACTIVE", 600)), {
    code: "FAILED_PRECONDITION",
    message: /600 layers/,
  });
});
