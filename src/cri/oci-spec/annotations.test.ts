// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { sandboxInput, specOf, testServices } from "../../../test/support/spec-input.ts";
import { defaultHandler } from "../../config/defaults.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";
import { globMatches } from "./glob.ts";

const handler = {
  ...defaultHandler,
  podAnnotations: ["pod.io/*"],
  containerAnnotations: ["both", "app.io/?"],
};

test("a sandbox's annotations name it and what passes the handler's globs", async () => {
  const config = {
    annotations: { "pod.io/a": "1", "other.io/a": "2", "io.kubernetes.cri.container-type": "fake" },
    linux: { resources: { cpuShares: 7n, memoryLimitInBytes: 9n } },
  };
  const { annotations } = await buildSandboxSpec(
    sandboxInput({ handler: { ...handler, podAnnotations: ["pod.io/*", "io.*"] }, config }),
    testServices,
  );
  assert.deepEqual(annotations, {
    "pod.io/a": "1",
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-id": "sb1",
    "io.kubernetes.cri.sandbox-namespace": "default",
    "io.kubernetes.cri.sandbox-uid": "uid-1",
    "io.kubernetes.cri.sandbox-name": "web",
    "io.kubernetes.cri.sandbox-log-directory": "/var/log/pods/default_web_uid-1",
    "io.kubernetes.cri.sandbox-cpu-period": "0",
    "io.kubernetes.cri.sandbox-cpu-quota": "0",
    "io.kubernetes.cri.sandbox-cpu-shares": "7",
    "io.kubernetes.cri.sandbox-memory": "9",
    "io.kubernetes.cri.podsandbox.image-name": "localhost/berth/pause:0.1",
  });
});

test("a container's annotations name it, its sandbox and its image", async () => {
  const { annotations } = await specOf({
    handler,
    imageName: "docker.io/app:1",
    pod: { annotations: { "pod.io/a": "1", both: "pod" } },
    config: { annotations: { both: "container", "app.io/x": "2", "app.io/long": "3" } },
  });
  assert.deepEqual(annotations, {
    "pod.io/a": "1",
    both: "container",
    "app.io/x": "2",
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": "sb1",
    "io.kubernetes.cri.sandbox-namespace": "default",
    "io.kubernetes.cri.sandbox-uid": "uid-1",
    "io.kubernetes.cri.sandbox-name": "web",
    "io.kubernetes.cri.container-name": "app",
    "io.kubernetes.cri.image-name": "docker.io/app:1",
  });
});

const order = "org.systemd.property.ExecStopPost";
const orders: readonly (readonly [globs: readonly string[], passes: readonly string[]])[] = [
  [["*"], ["plain"]],
  [["org.*", "run.*", "[a-z]*"], ["plain"]],
  [["org.systemd.property.*"], [order]],
  [
    [order, "run.oci.keep_original_groups"],
    [order, "run.oci.keep_original_groups"],
  ],
];

for (const [globs, passing] of orders) {
  test(`of a runtime's orders ${globs.join(" ")} lets through ${passing.join(" ")}`, async () => {
    const annotations = {
      plain: "1",
      [order]: "['/bin/sh', '-c', 'id']",
      "org.criu.config": "/tmp/criu.conf",
      "run.oci.keep_original_groups": "1",
    };
    const { annotations: found } = await specOf({
      handler: { ...defaultHandler, podAnnotations: [...globs], containerAnnotations: [...globs] },
      pod: { annotations },
      config: { annotations },
    });
    const names = Object.keys(found).filter((name) => Object.hasOwn(annotations, name));
    assert.deepEqual(names.toSorted(), passing.toSorted());
  });
}

test("globMatches follows path.Match", () => {
  const rows: [string, string, boolean][] = [
    ["a/*", "a/b", true],
    ["a/*", "a/b/c", false],
    ["*", "a.b-c", true],
    ["a?c", "abc", true],
    ["a?c", "a/c", false],
    ["[a-c]x", "bx", true],
    ["[^a-c]x", "bx", false],
    ["a.c", "abc", false],
    ["a\\*", "a*", true],
    ["[", "[", false],
    ["a\\", "a", false],
  ];
  for (const [pattern, text, out] of rows) assert.equal(globMatches(pattern, text), out, pattern);
});
