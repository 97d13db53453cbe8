// SPDX-License-Identifier: Apache-2.0
// RuntimeClass handlers that are not runc behind its shim: another OCI runtime, and another kind of shim.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { parse } from "smol-toml";
import { codec } from "../../src/rpc/codec.ts";
import { crunHere } from "../support/crun-here.ts";
import { findProgram, lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import type { Cri } from "../support/pods.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const featuresUrl = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";
const settings = {
  TypeUrl: "test.plain.options",
  level: 3,
  nested: { list: ["a", "b"], on: true },
};

suite("handlers", { skip: lacking(...podPrograms) }, () => {
  let home: Scratch;
  let bed: Testbed;
  let cri: Cri;
  before(async () => {
    home = await scratch({ prefix: "shim" });
    const plain = { type: "io.containerd.plain.v1", shim: await plainShim(home.path) };
    const handlers = {
      crun: { binary_name: await crunHere(home.path) },
      plain: {
        ...plain,
        options: settings,
        pod_annotations: ["plain.test/*"],
        container_annotations: ["app.test/*"],
      },
      "plain-file": {
        ...plain,
        options: { TypeUrl: "test.plain.options", ConfigPath: "/etc/plain" },
      },
      "plain-bare": plain,
    };
    bed = await openTestbed({ config: { runtime: { handlers } } });
    ({ cri } = bed);
  });
  after(async () => {
    await bed?.finish();
    await home?.[Symbol.asyncDispose]();
  });

  test("crun runs a pod", async (t) => {
    if (findProgram("crun") === undefined) return t.skip("needs crun");
    const pod = await cri.runPod({}, "crun");
    const id = await cri.startContainer(pod, bed.images.shell.reference, [
      "sh",
      "-c",
      "echo from crun; exec sleep 100000",
    ]);
    assert.deepEqual(await cri.exec(id, ["sh", "-c", "echo inside; exit 3"]), {
      exitCode: 3,
      stdout: "inside\n",
      stderr: "",
    });
    await until("it is logged", async () => / stdout F from crun\n/.test(await cri.logOf(id)));
    await cri.runtime.UpdateContainerResources({
      containerId: id,
      linux: { memoryLimitInBytes: 64n * 1024n * 1024n },
    });
    const { stats } = await cri.runtime.ContainerStats({ containerId: id });
    assert.ok((stats?.memory?.workingSetBytes?.value ?? 0n) > 0n);
    await cri.runtime.StopContainer({ containerId: id, timeout: 0n });
    assert.equal((await cri.status(id)).exitCode, 137);
    await cri.removePod(pod.id);
    await nothingLeft(bed.daemon.territory);
  });

  test("another kind of shim runs a pod, and gets its options as they are written", async () => {
    const annotations = { "plain.test/x": "1", "other.test/x": "2" };
    const pod = await cri.runPod({ annotations }, "plain");
    for (const call of ["start", "create"] as const) {
      const options = await recorded(home.path, call, pod.id);
      assert.equal(options.typeUrl, "test.plain.options");
      assert.equal(options.configPath, "");
      assert.deepEqual(structuredClone(parse(options.configBody.toString())), settings);
    }
    const id = await cri.startContainer(pod, bed.images.shell.reference, ["echo", "on the host"], {
      annotations: { "app.test/y": "3", "plain.test/z": "4" },
    });
    const status = await cri.reaches(id, "CONTAINER_EXITED");
    assert.equal(status.exitCode, 0);
    assert.match(await cri.logOf(id), / stdout F on the host\n/);

    const { info } = await cri.runtime.ContainerStatus({ containerId: id, verbose: true });
    const { runtimeSpec, runtimeOptions } = JSON.parse(info["info"] ?? "{}") as {
      runtimeSpec: { annotations: Record<string, string> };
      runtimeOptions: unknown;
    };
    assert.deepEqual(runtimeOptions, settings);
    const passed = Object.entries(runtimeSpec.annotations).filter(([name]) =>
      /\.test\//.test(name),
    );
    assert.deepEqual(Object.fromEntries(passed), { "plain.test/x": "1", "app.test/y": "3" });

    await bed.daemon.kill9();
    await bed.daemon.start();
    assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
    await cri.removePod(pod.id);
    await nothingLeft(bed.daemon.territory);
  });

  test("a shim gets the path of its own file, or nothing", async () => {
    const withFile = await cri.runPod({}, "plain-file");
    const options = await recorded(home.path, "create", withFile.id);
    assert.equal(options.configPath, "/etc/plain");
    assert.equal(options.configBody.length, 0);
    const bare = await cri.runPod({}, "plain-bare");
    assert.equal((await recordedAny(home.path, "create", bare.id)).type, "");
    assert.equal((await recordedAny(home.path, "start", bare.id)).type, "");
    for (const pod of [withFile, bare]) await cri.removePod(pod.id);
  });

  test("features are the shim's own", async () => {
    const { runtimeHandlers } = await cri.runtime.Status({});
    const found = new Map(runtimeHandlers.map(({ name, features }) => [name, features]));
    for (const name of ["plain", "plain-file", "plain-bare"]) {
      assert.deepEqual(found.get(name), {
        recursiveReadOnlyMounts: true,
        userNamespaces: false,
        cgroupNamespaces: false,
      });
    }
  });
});

/** A shim program as an administrator would install it, that keeps its record in the same folder. */
async function plainShim(folder: string): Promise<string> {
  const script = path.resolve(import.meta.dirname, "../support/plain-shim.ts");
  const value = Buffer.from(JSON.stringify({ mountOptions: ["rro"] }));
  const answer = path.join(folder, "info");
  await writeFile(
    answer,
    codec("containerd.types.RuntimeInfo").encode({ features: { type_url: featuresUrl, value } }),
  );
  const file = path.join(folder, "containerd-shim-plain-v1");
  await writeFile(
    file,
    [
      "#!/bin/sh",
      `[ "$1" = -info ] && exec cat '${answer}'`,
      `RECORD='${folder}' exec '${process.execPath}' '${script}' "$@"`,
      "",
    ].join("\n"),
    { mode: 0o755 },
  );
  return file;
}

async function recordedAny(folder: string, call: "start" | "create", id: string) {
  const text = await readFile(path.join(folder, `${id}.${call}`), "utf8");
  return JSON.parse(text) as { readonly type: string; readonly value: string };
}

async function recorded(folder: string, call: "start" | "create", id: string) {
  const { type, value } = await recordedAny(folder, call, id);
  assert.equal(type, "runtimeoptions.v1.Options");
  return codec("runtimeoptions.v1.Options").decode(Buffer.from(value, "base64"));
}
