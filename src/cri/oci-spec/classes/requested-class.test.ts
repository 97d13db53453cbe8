// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { requestedClass } from "./requested-class.ts";

const pod = "rdt.resources.beta.kubernetes.io/pod";
const app = "rdt.resources.beta.kubernetes.io/container.app";
const own = "io.kubernetes.cri.rdt-class";

const rows = [
  { name: "none is asked for", pod: {}, container: {}, out: undefined },
  { name: "the pod's", pod: { [pod]: "gold" }, container: {}, out: ["gold", pod] },
  {
    name: "the pod's for this container",
    pod: { [pod]: "gold", [app]: "silver" },
    container: {},
    out: ["silver", app],
  },
  {
    name: "the container's own",
    pod: { [pod]: "gold", [app]: "silver" },
    container: { [own]: "bronze" },
    out: ["bronze", own],
  },
  {
    name: "another container's",
    pod: { "rdt.resources.beta.kubernetes.io/container.other": "gold" },
    container: {},
    out: undefined,
  },
  {
    name: "another kind's",
    pod: { [pod.replace("rdt", "blockio")]: "x" },
    container: {},
    out: undefined,
  },
  {
    name: "an empty one over the pod's",
    pod: { [pod]: "gold", [app]: "" },
    container: {},
    out: undefined,
  },
  {
    name: "the system's over the pod's",
    pod: { [pod]: "gold" },
    container: { [own]: "system/default" },
    out: undefined,
  },
];

for (const { name, pod: podAnnotations, container: containerAnnotations, out } of rows) {
  test(`class: ${name}`, () => {
    const found = requestedClass("rdt", { container: "app", containerAnnotations, podAnnotations });
    assert.deepEqual(found && [found.name, found.annotation], out);
  });
}
