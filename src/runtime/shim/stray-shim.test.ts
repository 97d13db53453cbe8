// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { isShimOf } from "./stray-shim.ts";

const search = {
  binary: "/usr/bin/containerd-shim-runc-v2",
  namespace: "k8s.io",
  ids: ["pod", "container"],
  grpcAddress: "/run/a b/berthd.sock",
};
const flags = ["-namespace", "k8s.io", "-id", "pod", "-address", "/run/a b/berthd.sock"];
const shim = "/usr/bin/containerd-shim-runc-v2";

const cases: readonly { name: string; argv: readonly string[]; is: boolean; binary?: string }[] = [
  { name: "the shim itself", argv: [shim, ...flags], is: true },
  { name: "the helper that starts it", argv: [shim, ...flags, "start"], is: true },
  { name: "the helper that deletes", argv: [shim, ...flags, "delete"], is: false },
  { name: "another program", argv: ["/usr/bin/tail", ...flags], is: false },
  { name: "any program of ours", argv: ["/opt/other-shim", ...flags], is: true, binary: "" },
  { name: "a shim of another id", argv: [shim, ...flags.with(3, "else")], is: false },
  { name: "a shim of another daemon", argv: [shim, ...flags.with(5, "/run/x")], is: false },
  { name: "a shim of another namespace", argv: [shim, ...flags.with(1, "moby")], is: false },
  { name: "nothing", argv: [], is: false, binary: "" },
];

for (const { name, argv, is, binary = search.binary } of cases) {
  test(`isShimOf ${is ? "takes" : "leaves"} ${name}`, () => {
    assert.equal(isShimOf(argv, { ...search, binary }), is);
  });
}
