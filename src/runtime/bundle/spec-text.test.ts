// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { cgroupsPath, cgroupsPathIn, clampOomScore, mappedRootGid } from "./spec-text.ts";

const cases = [
  {
    name: "raises",
    spec: '{"process":{"oomScoreAdj":-998}}',
    floor: 0,
    want: '{"process":{"oomScoreAdj":0}}',
  },
  {
    name: "keeps higher ones",
    spec: '{"process":{"oomScoreAdj": 1000}}',
    floor: 5,
    want: undefined,
  },
  {
    name: "reads any number",
    spec: '{"oomScoreAdj":-9e2,"x":{"oomScoreAdj":-5.5}}',
    floor: 0,
    want: '{"oomScoreAdj":0,"x":{"oomScoreAdj":0}}',
  },
  { name: "needs none", spec: '{"process":{}}', floor: 5, want: undefined },
  {
    name: "keeps 64-bit numbers exact",
    spec: '{"oomScoreAdj":-1,"hard":18446744073709551615}',
    floor: 1,
    want: '{"oomScoreAdj":1,"hard":18446744073709551615}',
  },
  {
    name: "leaves strings alone",
    spec: JSON.stringify({ env: ['X="oomScoreAdj":-5'] }),
    floor: 0,
    want: undefined,
  },
];

for (const { name, spec, floor, want } of cases) {
  test(`clampOomScore ${name}`, () => {
    const bytes = Buffer.from(spec);
    const clamped = clampOomScore(bytes, floor);
    if (want === undefined) assert.equal(clamped, bytes);
    else assert.equal(Buffer.from(clamped).toString(), want);
  });
}

test("mappedRootGid finds the host's gid of gid 0", () => {
  const spec = (gidMappings: unknown): Buffer =>
    Buffer.from(JSON.stringify({ linux: { gidMappings } }));
  assert.equal(mappedRootGid(spec([{ containerID: 0, hostID: 65536, size: 65536 }])), 65536);
  assert.equal(mappedRootGid(spec([{ containerID: 5, hostID: 7, size: 1 }])), undefined);
  assert.equal(mappedRootGid(Buffer.from("{}")), undefined);
});

test("cgroupsPath reads the path or answers none", () => {
  assert.equal(cgroupsPath('{"linux":{"cgroupsPath":"/a/b"}}'), "/a/b");
  assert.equal(cgroupsPath("{}"), "");
});

for (const [spec, want] of [
  ['{"linux":{"cgroupsPath":"/a/b"}}', "/a/b"],
  ['{"linux":{"cgroupsPath" : "/a \\"b\\" \\u00e4"}}', '/a "b" ä'],
  ["{}", ""],
  ['{"linux":{"cgroupsPath":null}}', ""],
  ['{"env":["\\"cgroupsPath\\":\\"/x\\""],"linux":{}}', ""],
  ['{"annotations":{"cgroupsPath":"/theirs"},"linux":{"cgroupsPath":"/ours"}}', "/ours"],
  [`{"linux":{"cgroupsPath":"/${"a".repeat(5000)}"}}`, ""],
] as const) {
  test(`cgroupsPathIn finds "${want}" in ${spec.slice(0, 60)}`, () => {
    assert.equal(cgroupsPathIn(Buffer.from(spec)), want);
  });
}

test("what is no JSON is the client's fault, and what is no id is none", () => {
  const broken = Buffer.from('{"cgroupsPath":"\\q","cgroupsPath":1,"gidMappings":');
  for (const read of [mappedRootGid, cgroupsPathIn, (bytes: Buffer) => cgroupsPath(String(bytes))])
    assert.throws(() => read(broken), { code: "INVALID_ARGUMENT", message: "spec is no JSON" });
  assert.throws(
    () => cgroupsPath('{"cgroupsPath": s3cret}'),
    (error) => !inspect(error).includes("s3cret"),
  );
  assert.throws(() => cgroupsPathIn(Buffer.from('{"cgroupsPath":"\\q"}')), {
    code: "INVALID_ARGUMENT",
  });
  for (const hostID of [-1, 0.5, 2 ** 32, "1"]) {
    const spec = JSON.stringify({ linux: { gidMappings: [{ containerID: 0, hostID, size: 1 }] } });
    assert.equal(mappedRootGid(Buffer.from(spec)), undefined);
  }
});
