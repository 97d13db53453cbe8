// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatMappings, hostId, parseMappings } from "./id-mapping.ts";

const two = [
  { containerID: 0, hostID: 65_536, size: 1000 },
  { containerID: 2000, hostID: 200_000, size: 10 },
];

for (const [id, expected] of [
  [0, 65_536],
  [999, 66_535],
  [1000, 65_534],
  [2009, 200_009],
  [2010, 65_534],
] as const) {
  test(`id ${id} is ${expected} on the host`, () => assert.equal(hostId(two, id), expected));
}

test("mappings survive being written and read", () => {
  assert.equal(formatMappings(two), "0:65536:1000,2000:200000:10");
  assert.deepEqual(parseMappings(formatMappings(two)), two);
});

for (const text of ["", "0:1", "0:1:2:3", "0:1:0", "a:1:1", "0:-1:1", "0:4294967296:1", "0:1:1,"]) {
  test(`"${text}" is no mapping`, () => {
    assert.throws(() => parseMappings(text), { code: "INVALID_ARGUMENT" });
  });
}
