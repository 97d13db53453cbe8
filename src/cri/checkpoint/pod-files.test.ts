// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import type { ContainerConfigInit, PodSandboxConfigInit } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import { readPod, writePod } from "./pod-files.ts";
import { matchPod } from "./same-process.ts";

const folder = await mkdtemp(path.join(os.tmpdir(), "berth pod-"));
after(() => removeFolderSync(folder));
const file = path.join(folder, "pod.json");

const podConfig = (change: PodSandboxConfigInit = {}) =>
  codec("runtime.v1.PodSandboxConfig").normalize({
    metadata: { name: "web", namespace: "shop", uid: "u-1", attempt: 0 },
    ...change,
  });
const containerConfig = (name: string, change: ContainerConfigInit = {}) =>
  codec("runtime.v1.ContainerConfig").normalize({
    metadata: { name, attempt: 0 },
    image: { image: "busybox" },
    command: ["sh"],
    envs: [
      { key: "A", value: Buffer.from("1") },
      { key: "B", value: Buffer.from([0xff]) },
    ],
    ...change,
  });
const pod = {
  config: podConfig(),
  runtime: "io.containerd.runc.v2",
  containers: ["web", "side"].map((name) => ({
    config: containerConfig(name),
    imageId: "sha256:abc",
  })),
};

test("readPod reads what writePod has written", async () => {
  await writePod(folder, pod);
  assert.deepEqual(await readPod(folder), pod);
});

const lies: Readonly<Record<string, (pod: Record<string, unknown>) => unknown>> = {
  "a list": () => [],
  null: () => null,
  "another version": (pod) => ({ ...pod, version: 2 }),
  "a version without end": (pod) => ({ ...pod, version: "1".repeat(100_000) }),
  "no containers": (pod) => ({ ...pod, containers: [] }),
  "containers without end": (pod) => ({
    ...pod,
    containers: Array.from({ length: 1001 }, () => ({})),
  }),
  "a container that is none": (pod) => ({ ...pod, containers: [null] }),
  "a config that is no message": (pod) => ({ ...pod, config: "////" }),
  "a config that is no base64": (pod) => ({ ...pod, config: `${String(pod["config"])}!` }),
  "a config that is no text": (pod) => ({ ...pod, config: 7 }),
  "an image without an id": (pod) => ({ ...pod, containers: [{ config: "" }] }),
  "a runtime without end": (pod) => ({ ...pod, runtime: "x".repeat(3_000_000) }),
  "no runtime": (pod) => ({ ...pod, runtime: undefined }),
};
for (const [what, change] of Object.entries(lies)) {
  test(`readPod refuses ${what}, in few words`, async () => {
    await writePod(folder, pod);
    const stored = JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>;
    await writeFile(file, JSON.stringify(change(stored)));
    await assert.rejects(
      readPod(folder),
      ({ code, message }: { code: string; message: string }) => {
        assert.equal(code, "INVALID_ARGUMENT");
        return message.length < 200;
      },
    );
  });
}

test("readPod refuses what is no JSON, too long, or a link", async () => {
  const refused = { code: "INVALID_ARGUMENT", message: "the archive is no checkpoint of a pod" };
  await writeFile(file, "{");
  await assert.rejects(readPod(folder), refused);
  await writeFile(file, `"${"x".repeat(4 * 1024 * 1024)}"`);
  await assert.rejects(readPod(folder), refused);
  removeFolderSync(file);
  await symlink("/etc/hostname", file);
  await assert.rejects(readPod(folder), refused);
});

const wanted = ["web", "side"].map((name) => containerConfig(name));

test("matchPod finds each container's folder, in the request's order", () => {
  assert.deepEqual(matchPod(pod, pod.config, wanted), [0, 1]);
  assert.deepEqual(matchPod(pod, pod.config, wanted.toReversed()), [1, 0]);
});

const same: ContainerConfigInit = {
  labels: { a: "b" },
  annotations: { a: "b" },
  logPath: "other.log",
  linux: { resources: { cpuShares: 7n } },
  envs: [
    { key: "B", value: Buffer.from([0xff]) },
    { key: "A", value: Buffer.from("1") },
  ],
};

test("matchPod leaves to the request what the process does not see", () => {
  const labels = podConfig({ labels: { a: "b" }, hostname: "other" });
  assert.deepEqual(matchPod(pod, labels, [containerConfig("web", same), wanted[1]!]), [0, 1]);
});

const others: Readonly<Record<string, ContainerConfigInit>> = {
  command: { command: ["sh", "-c"] },
  args: { args: ["x"] },
  working_dir: { workingDir: "/tmp" },
  envs: { envs: [{ key: "A", value: Buffer.from("1") }] },
  tty: { tty: true },
  stdin: { stdin: true },
  mounts: { mounts: [{ hostPath: "/tmp", containerPath: "/data" }] },
  run_as_user: { linux: { securityContext: { runAsUser: { value: 7n } } } },
  run_as_group: { linux: { securityContext: { runAsGroup: { value: 7n } } } },
  run_as_username: { linux: { securityContext: { runAsUsername: "nobody" } } },
  supplemental_groups: { linux: { securityContext: { supplementalGroups: [7n] } } },
  privileged: { linux: { securityContext: { privileged: true } } },
};
for (const [field, change] of Object.entries(others)) {
  test(`matchPod refuses another ${field}`, () => {
    const configs = [wanted[0]!, containerConfig("side", change)];
    assert.throws(() => matchPod(pod, pod.config, configs), {
      code: "FAILED_PRECONDITION",
      message: `cannot restore container "side": its ${field} is not what the checkpoint has`,
    });
  });
}

for (const name of ["network", "pid", "ipc"] as const) {
  test(`matchPod refuses a pod with another ${name} namespace`, () => {
    const linux = { securityContext: { namespaceOptions: { [name]: "NODE" as const } } };
    assert.throws(() => matchPod(pod, podConfig({ linux }), wanted), {
      code: "FAILED_PRECONDITION",
      message: `cannot restore the pod: its namespace_options.${name} is not what the checkpoint has`,
    });
  });
}

test("matchPod refuses a checkpoint with two containers of one name, or of none", () => {
  const [first] = pod.containers;
  for (const name of ["web", ""]) {
    const containers = [first!, { ...first!, config: containerConfig(name) }];
    assert.throws(() => matchPod({ ...pod, containers }, pod.config, wanted), {
      code: "INVALID_ARGUMENT",
    });
  }
});
