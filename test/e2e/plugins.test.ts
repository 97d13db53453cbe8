// SPDX-License-Identifier: Apache-2.0
// Operator plugins through a real daemon: the shipped examples, and plugins that misbehave.
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { IntrospectionPlugin } from "../../src/gen/introspection.gen.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri } from "../support/pods.ts";
import { run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const examples = path.resolve(import.meta.dirname, "../../deploy/plugins");
const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

/** Acts on annotations, so that each test has its own misbehaviour. */
const moody = (name: string): string => `
  export const plugin = {
    apiVersion: 1,
    onSandboxCreate({ config, spec }) {
      const mood = config.annotations["test.${name}/sandbox"];
      if (mood === "veto") return { veto: "not today" };
      if (mood === "label") return { spec: { ...spec, hostname: "renamed" } };
    },
    onContainerCreate({ sandbox, spec }) {
      const mood = sandbox.config.annotations["test.${name}/container"];
      if (mood === "loop") for (;;);
      if (mood === "throw") throw new Error("bad mood");
      if (mood === "nonsense") return { spec: { ...spec, mounts: "none" } };
      if (mood === "exit") process.exit(1);
      if (mood === "order") return { spec: { ...spec, process: { ...spec.process,
        env: [...spec.process.env, "SEEN_BY=" + spec.process.env.filter((line) => line.startsWith("SEEN_BY=")).map((line) => line.slice(8) + "+").join("") + "${name}"] } } };
    },
  };
`;

suite("operator plugins", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  let home: Scratch;
  let events: string;
  before(async () => {
    home = await scratch({ prefix: "plugins" });
    const dir = path.join(home.path, "plugins.d");
    const models = path.join(home.path, "models");
    events = path.join(home.path, "events");
    await mkdir(dir, { mode: 0o755 });
    await mkdir(models);
    await writeFile(path.join(models, "weights"), "42");
    for (const name of ["require-limits.js", "inject-env.js"]) {
      await copyFile(path.join(examples, name), path.join(dir, name));
    }
    await writeFile(path.join(dir, "10-strict.mjs"), moody("strict"));
    await writeFile(path.join(dir, "20-lax.mjs"), moody("lax"));
    await writeFile(path.join(dir, "30-broken.js"), "export const plugin = { apiVersion: 99 };");
    await writeFile(
      path.join(dir, "observer.mjs"),
      `import { appendFileSync } from "node:fs";
       export const plugin = { apiVersion: 1, onEvent({ topic, event }) {
         appendFileSync(${JSON.stringify(events)}, topic + " " + event?.containerId + "\\n");
       } };`,
    );
    bed = await openTestbed({
      config: {
        plugins: {
          dir,
          config: {
            "10-strict": { timeout: "5s" },
            "20-lax": { timeout: "5s", on_failure: "ignore" },
            "30-broken": { on_failure: "ignore" },
            "require-limits": { namespaces: ["limited"] },
            "inject-env": { mount_roots: [models] },
            gone: { on_failure: "ignore" },
          },
        },
      },
    });
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(async () => {
    await bed?.finish();
    await home?.[Symbol.asyncDispose]();
  });

  const refusal = (message: RegExp): object => ({ code: "FAILED_PRECONDITION", message });

  test("are listed, with the errors of those that could not be loaded", async () => {
    const { plugins } = await bed.daemon
      .client("containerd.services.introspection.v1.Introspection")
      .Plugins({ filters: ["type==io.berth.plugin.v1"] });
    const shown = (one: IntrospectionPlugin): [string, readonly string[], string] => [
      one.id,
      one.capabilities,
      one.initErr?.message.replace(/ [^ ]*\/.*/, " PATH") ?? "",
    ];
    assert.deepEqual(plugins.map(shown), [
      ["10-strict", ["onSandboxCreate", "onContainerCreate"], ""],
      ["20-lax", ["onSandboxCreate", "onContainerCreate"], ""],
      ["30-broken", [], "TypeError: its apiVersion is 99, this daemon has 1"],
      ["gone", [], "no file PATH"],
      ["inject-env", ["onContainerCreate"], ""],
      ["observer", ["onEvent"], ""],
      ["require-limits", ["onContainerCreate"], ""],
    ]);
  });

  test("require-limits refuses a container without a memory limit, in its namespaces", async () => {
    const metadata = { name: "limits", namespace: "limited", uid: "limits", attempt: 0 };
    const pod = await cri.runPod({ metadata });
    await assert.rejects(
      cri.createContainer(pod, shell, forever),
      refusal(/^plugin "require-limits" vetoes container ".*": namespace limited wants a memory/),
    );
    const resources = { memoryLimitInBytes: 64n * 1024n * 1024n };
    await cri.startContainer(pod, shell, forever, { linux: { resources } });
    const other = await cri.runPod();
    await cri.startContainer(other, shell, forever);
  });

  test("inject-env gives a container variables and mounts", async () => {
    const pod = await cri.runPod({
      annotations: {
        "inject.berth/env.MODEL": "tiny",
        "inject.berth/mount.models": `${home.path}/models:/models`,
      },
    });
    const container = await cri.startContainer(pod, shell, forever);
    const read = await cri.exec(container, ["sh", "-c", "echo $MODEL; cat /models/weights"]);
    assert.equal(read.stdout, "tiny\n42");
    const write = await cri.exec(container, ["touch", "/models/x"]);
    assert.match(write.stderr, /Read-only file system/);
    const berth = path.resolve(import.meta.dirname, "../../bin/berth");
    const env = { BERTH_ADDRESS: bed.daemon.socket };
    const shown = await run(berth, ["pod", "inspect", pod.id], { env, timeoutMs: 60_000 });
    assert.match(shown.stdout, /^CHANGED +BY +WHAT\n\S+ +inject-env +.*process\.env/m);
    assert.match(shown.stdout, /^\S+ +inject-env +.*mounts/m);
  });

  test("adjust and veto sandboxes; a vetoed one leaves nothing", async () => {
    const renamed = await cri.runPod({ annotations: { "test.strict/sandbox": "label" } });
    assert.equal((await cri.podStatus(renamed.id)).state, "SANDBOX_READY");
    const before = (await cri.runtime.ListPodSandbox({})).items.length;
    const config = cri.podConfig({ annotations: { "test.strict/sandbox": "veto" } });
    await assert.rejects(
      cri.runtime.RunPodSandbox({ config }),
      refusal(/^plugin "10-strict" vetoes sandbox ".*": not today$/),
    );
    assert.equal((await cri.runtime.ListPodSandbox({})).items.length, before);
  });

  test("are asked in lexical order, each on the spec that the one before left", async () => {
    const pod = await cri.runPod({
      annotations: { "test.strict/container": "order", "test.lax/container": "order" },
    });
    const container = await cri.startContainer(pod, shell, forever);
    // The last of two variables of one name is what a shell sees.
    const { stdout } = await cri.exec(container, ["sh", "-c", "tr '\\0' '\\n' </proc/1/environ"]);
    assert.match(stdout, /^SEEN_BY=strict\+lax$/m);
  });

  for (const { mood, says } of [
    { mood: "throw", says: /Error: bad mood/ },
    { mood: "nonsense", says: /its spec is wrong: mounts must be a list/ },
    { mood: "loop", says: /took longer than 5000 ms/ },
    { mood: "exit", says: /its thread has ended/ },
  ]) {
    test(`that fail (${mood}) refuse or are passed over, as their policy has it`, async () => {
      const strict = await cri.runPod({ annotations: { "test.strict/container": mood } });
      await assert.rejects(cri.createContainer(strict, shell, forever), (error: Error) => {
        assert.match(
          error.message,
          /^plugin "10-strict" failed at onContainerCreate of container /,
        );
        assert.match(error.message, says);
        return true;
      });
      if (mood === "exit") return; // left alone for a while now
      const lax = await cri.runPod({ annotations: { "test.lax/container": mood } });
      await cri.startContainer(lax, shell, forever);
      await until("the failure that was passed over is in the log", async () =>
        (await bed.daemon.logLines()).some(
          (line) => line["plugin"] === "20-lax" && says.test(String(line["reason"])),
        ),
      );
    });
  }

  test("see events", async () => {
    await until("the observer has seen a start and an exit", async () => {
      const text = await readFile(events, "utf8");
      return /^\/tasks\/start [0-9a-f]{64}$/m.test(text);
    });
  });

  test("are counted by result", async () => {
    const wanted = [
      'plugin="require-limits",hook="onContainerCreate",result="veto"',
      'plugin="inject-env",hook="onContainerCreate",result="changed"',
      'plugin="10-strict",hook="onContainerCreate",result="timeout"',
      'plugin="20-lax",hook="onContainerCreate",result="error"',
      'plugin="10-strict",hook="onSandboxCreate",result="ok"',
      'plugin="observer",hook="onEvent",result="ok"',
    ];
    await until("all are counted", async () => {
      const text = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
      const isThere = (labels: string) => text.includes(`berth_plugin_calls_total{${labels}}`);
      assert.deepEqual(
        wanted.filter((labels) => !isThere(labels)),
        [],
      );
      return true;
    });
  });
});

test("a metrics port that is taken costs the metrics, not the pods", {
  skip: lacking(...podPrograms),
}, async () => {
  const { createServer } = await import("node:net");
  const { startDaemon } = await import("../support/daemon.ts");
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  try {
    const { port } = taken.address() as { port: number };
    await using daemon = await startDaemon({
      config: { metrics: { address: `127.0.0.1:${port}` } },
    });
    const { plugins } = await daemon
      .client("containerd.services.introspection.v1.Introspection")
      .Plugins({ filters: ["type==io.containerd.monitor.task.v1"] });
    assert.match(plugins[0]?.initErr?.message ?? "", new RegExp(`127\\.0\\.0\\.1:${port}`));
  } finally {
    taken.close();
  }
});
