// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import {
  type CheckpointedPod,
  podFiles,
  readPod,
  writePod,
} from "../../../src/cri/checkpoint/pod-files.ts";
import { matchPod } from "../../../src/cri/checkpoint/same-process.ts";
import type { ContainerConfigInit } from "../../../src/gen/cri.gen.ts";
import { codec } from "../../../src/rpc/codec.ts";
import { ByteSource } from "../byte-source.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { type FuzzTarget, refused } from "../target.ts";

const base64 = /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/;
const podConfig = codec("runtime.v1.PodSandboxConfig");
const containerConfig = codec("runtime.v1.ContainerConfig");
const stored = (names: readonly string[], change: ContainerConfigInit = {}): string =>
  JSON.stringify({
    version: 1,
    config: podConfig.encode({ metadata: { name: "web" } }).toString("base64"),
    runtime: "io.containerd.runc.v2",
    containers: names.map((name) => ({
      config: containerConfig.encode({ metadata: { name }, ...change }).toString("base64"),
      imageId: "sha256:abc",
    })),
  });
const described: ContainerConfigInit = {
  command: ["sh"],
  envs: [{ key: "A", value: Buffer.from([0xff]) }],
  mounts: [{ hostPath: "/a", containerPath: "/b" }],
  linux: { securityContext: { runAsUser: { value: 7n }, supplementalGroups: [1n] } },
};

/**
 * pod.json of a pod's checkpoint, as an archive from anywhere has it: text is text, a config is a whole message, and there
 * are 1 to 1000 containers. What is read can be written, and is read the same again. A request that asks for just that pod
 * gets each container's own folder; one whose container differs is refused.
 */
export const target: FuzzTarget = {
  name: "pod-checkpoint",
  parses: ["src/cri/checkpoint/pod-files.ts", "src/cri/checkpoint/same-process.ts"],
  dictionary: ['"version":1', '"containers":[', '"config":"', '"imageId":"', '"runtime":"', "null"],
  maxBytes: 16_384,
  seeds: function* () {
    yield Buffer.from([1, 2, ...Buffer.from("drawn messages")]);
    for (const text of [stored(["web"]), stored(["web", "side"], described), stored(["", ""])]) {
      yield Buffer.from(`\0${text}`);
    }
  },
  run: async (input) => {
    const source = new ByteSource(input);
    const text = source.bool() ? drawn(source) : source.rest();
    const folder = scratchFolder("pod-checkpoint");
    writeFileSync(podFiles(folder).pod, text);
    let pod: CheckpointedPod;
    try {
      pod = await readPod(folder);
    } catch (error) {
      return refused(error, "INVALID_ARGUMENT");
    }
    checkStored(text.toString(), pod);
    await writePod(folder, pod);
    assert.deepEqual(await readPod(folder), pod, "written and read again");
    checkMatch(pod);
  },
};

/** A document that is right, around messages of any bytes. */
function drawn(source: ByteSource): Buffer {
  const config = source.bytes(200).toString("base64");
  const containers = source.list(4, () => ({
    config: source.bytes(400).toString("base64"),
    imageId: source.text(8),
  }));
  return Buffer.from(JSON.stringify({ version: 1, config, runtime: source.text(8), containers }));
}

/** What was read is what the document says, as a reader sees it that knows nothing of the first. */
function checkStored(text: string, { runtime, containers }: CheckpointedPod): void {
  const document = JSON.parse(text) as Record<string, unknown>;
  assert.equal(document["version"], 1);
  assert.equal(document["runtime"], runtime);
  assert.match(document["config"] as string, base64);
  const written = document["containers"] as Record<string, unknown>[];
  assert.ok(written.length >= 1 && written.length <= 1000);
  assert.equal(containers.length, written.length);
  for (const [at, { imageId }] of containers.entries()) {
    assert.equal(written[at]?.["imageId"], imageId);
    assert.match(written[at]?.["config"] as string, base64);
  }
}

function checkMatch(pod: CheckpointedPod): void {
  const configs = pod.containers.map(({ config }) => config);
  const names = configs.map(({ metadata }) => metadata?.name ?? "");
  const isNamed = !names.includes("") && new Set(names).size === names.length;
  const order = [...configs.keys()].toReversed();
  try {
    const found = matchPod(pod, pod.config, configs.toReversed());
    assert.ok(isNamed, "two containers of one name, or one of none");
    assert.deepEqual(found, order);
  } catch (error) {
    assert.ok(!isNamed, "a pod is not what it is itself");
    return refused(error, "INVALID_ARGUMENT");
  }
  const [first, ...others] = configs;
  const command = [...(first?.command ?? []), "more"];
  assert.throws(() => matchPod(pod, pod.config, [{ ...first!, command }, ...others]), {
    code: "FAILED_PRECONDITION",
  });
}
