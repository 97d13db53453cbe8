// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { packAny } from "../../rpc/codec.ts";
import { isDirect, type LaunchFacts, type ShimLaunch } from "./choose-launch.ts";

const runc = { path: "/usr/bin/containerd-shim-runc-v2", isRunc: true, version: [1, 6] } as const;
const specWith = (annotations: Record<string, string>): Uint8Array =>
  Buffer.from(JSON.stringify({ annotations }));
const plain: LaunchFacts = {
  binary: runc,
  id: "a",
  sandboxId: "",
  spec: specWith({}),
  options: null,
};

const cases: { name: string; wanted: ShimLaunch; facts: Partial<LaunchFacts>; direct: boolean }[] =
  [
    { name: "runc shim", wanted: "auto", facts: {}, direct: true },
    { name: "runc shim, helper wanted", wanted: "helper", facts: {}, direct: false },
    {
      name: "shim of others",
      wanted: "auto",
      facts: { binary: { ...runc, isRunc: false } },
      direct: false,
    },
    {
      name: "shim of others, direct wanted",
      wanted: "direct",
      facts: { binary: { ...runc, isRunc: false } },
      direct: true,
    },
    {
      name: "runc shim that tells no version",
      wanted: "auto",
      facts: { binary: { ...runc, version: undefined } },
      direct: false,
    },
    {
      name: "sandbox itself",
      wanted: "auto",
      facts: { spec: specWith({ "io.kubernetes.cri.sandbox-id": "a" }) },
      direct: true,
    },
    {
      name: "container whose spec names its sandbox",
      wanted: "direct",
      facts: { spec: specWith({ "io.kubernetes.cri.sandbox-id": "pod" }) },
      direct: false,
    },
    {
      name: "container of a sandbox",
      wanted: "direct",
      facts: { sandboxId: "pod" },
      direct: false,
    },
    {
      name: "task of a group",
      wanted: "direct",
      facts: { spec: specWith({ "io.containerd.runc.v2.group": "b" }) },
      direct: false,
    },
    {
      name: "group's name in a value",
      wanted: "auto",
      facts: { spec: specWith({ note: '"io.containerd.runc.v2.group":"b"' }) },
      direct: true,
    },
    {
      name: "shim with a cgroup of its own",
      wanted: "direct",
      facts: { options: packAny("containerd.runc.v1.Options", { shimCgroup: "/shims" }) },
      direct: false,
    },
    {
      name: "other runtime options",
      wanted: "auto",
      facts: { options: packAny("containerd.runc.v1.Options", { binaryName: "crun" }) },
      direct: true,
    },
  ];

for (const { name, wanted, facts, direct } of cases) {
  test(`isDirect is ${direct} for: ${name}`, () => {
    assert.equal(isDirect(wanted, { ...plain, ...facts }), direct);
  });
}
