// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { type Cri, type RunningPod } from "../support/pods.ts";
import { openFilesOf } from "../support/processes.ts";
import { endChild } from "../support/registry.ts";
import { must, run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

suite("Debian's ctr on our socket", { skip: lacking(...podPrograms, "ctr") }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let container: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
    container = await cri.startContainer(pod, bed.images.shell.reference, [
      "sh",
      "-c",
      "trap 'echo got TERM; exit 5' TERM; echo ready; while :; do sleep 1; done",
    ]);
  });
  after(() => bed?.finish());

  const argv = (...args: readonly string[]): string[] => [
    "--address",
    bed.daemon.socket,
    "--namespace",
    "k8s.io",
    ...args,
  ];
  const ctr = (...args: readonly string[]): Promise<string> => must("ctr", argv(...args));
  const rows = (table: string): string[][] =>
    table
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/));

  test("version tells client and server", async () => {
    const text = await ctr("version");
    assert.match(text, /Server:\s+Version:\s+\S+/);
    assert.match(text, /UUID:\s+\S+/);
  });

  test("plugins ls lists the services by type and id, all ok", async () => {
    const [header, ...plugins] = rows(await ctr("plugins", "ls"));
    assert.deepEqual(header?.slice(0, 2), ["TYPE", "ID"]);
    const names = plugins.map(([type, id]) => `${type}/${id}`);
    for (const name of ["io.containerd.grpc.v1/tasks", "io.containerd.service.v1/tasks-service"]) {
      assert.ok(names.includes(name), `${name} in ${names.join(", ")}`);
    }
    assert.deepEqual(
      plugins.filter((row) => row.at(-1) !== "ok" && row.at(-1) !== "skip"),
      [],
    );
  });

  test("namespaces ls has k8s.io", async () => {
    assert.ok(rows(await ctr("namespaces", "ls")).some(([name]) => name === "k8s.io"));
  });

  test("containers ls and info show the pod and its container", async () => {
    const listed = rows(await ctr("containers", "ls"));
    const byId = new Map(listed.map((row) => [row[0], row]));
    assert.equal(byId.get(container)?.[1], bed.images.shell.reference);
    assert.equal(byId.get(container)?.[2], "io.containerd.runc.v2");
    assert.ok(byId.has(pod.id));
    const info = JSON.parse(await ctr("containers", "info", container)) as {
      Labels: Record<string, string>;
      Spec: { process: { args: string[] }; linux: { cgroupsPath: string } };
      SnapshotKey: string;
    };
    assert.equal(info.Labels["io.cri-containerd.kind"], "container");
    assert.equal(info.Spec.process.args[0], "sh");
    assert.ok(info.Spec.linux.cgroupsPath.startsWith(cri.settings.cgroupParent));
  });

  test("tasks ls and ps show what runs", async () => {
    const tasks = new Map(
      rows(await ctr("tasks", "ls")).map(([id, pid, state]) => [id, [pid, state]]),
    );
    assert.equal(tasks.get(container)?.[1], "RUNNING");
    assert.equal(tasks.get(pod.id)?.[1], "RUNNING");
    const pids = rows(await ctr("tasks", "ps", container)).map(([pid]) => pid);
    assert.ok(pids.includes(tasks.get(container)?.[0]));
  });

  test("tasks exec runs a process, gives its output and its code", async () => {
    const ok = await ctr("tasks", "exec", "--exec-id", "one", container, "echo", "from ctr");
    assert.equal(ok, "from ctr\n");
    const failing = await run(
      "ctr",
      argv("tasks", "exec", "--exec-id", "two", container, "sh", "-c", "exit 9"),
    );
    assert.equal(failing.code, 9);
    const input = await run("ctr", argv("tasks", "exec", "--exec-id", "three", container, "cat"), {
      input: "through stdin\n",
    });
    assert.equal(input.stdout, "through stdin\n");
  });

  test("tasks metrics reads the cgroup", async () => {
    const table = await ctr("tasks", "metrics", container);
    assert.match(table, new RegExp(`^${container}`, "m"));
    assert.match(table, /^memory\.usage(_in_bytes)?\s+[1-9]\d*/m);
    const json = JSON.parse(await ctr("tasks", "metrics", "--format", "json", container)) as object;
    assert.ok("memory" in json);
  });

  test("tasks pause and resume change the state", async () => {
    const stateOf = async (): Promise<string | undefined> =>
      rows(await ctr("tasks", "ls")).find(([id]) => id === container)?.[2];
    await ctr("tasks", "pause", container);
    assert.equal(await stateOf(), "PAUSED");
    await ctr("tasks", "resume", container);
    assert.equal(await stateOf(), "RUNNING");
  });

  test("events shows what happens, as it happens", async () => {
    const child = spawn("ctr", argv("events"), { stdio: ["ignore", "pipe", "pipe"] });
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    try {
      // A subscription has no beginning to wait for: containers are made until one is seen.
      await until("a task's start and exit are seen", async () => {
        const id = await cri.startContainer(pod, bed.images.shell.reference, ["true"]);
        await cri.reaches(id, "CONTAINER_EXITED");
        await cri.runtime.RemoveContainer({ containerId: id });
        const topics = ["/containers/create", "/tasks/create", "/tasks/start", "/tasks/exit"];
        return topics.every((topic) =>
          seen.split("\n").some((line) => line.includes(topic) && line.includes(id)),
        );
      });
      assert.match(seen, /k8s\.io \/tasks\/start \{.*"pid":\d+/);
    } finally {
      await endChild(child);
    }
  });

  test("a missing container is NOT_FOUND", async () => {
    for (const args of [
      ["containers", "info", "no-such"],
      ["tasks", "ps", "no-such"],
      ["tasks", "kill", "no-such"],
    ]) {
      const { code, stderr } = await run("ctr", argv(...args));
      assert.notEqual(code, 0);
      assert.match(stderr, /no-such.*not found/i, args.join(" "));
    }
  });

  test("tasks attach ends with the task's exit code; kill ends the task as CRI sees it", async () => {
    const attached = spawn("ctr", argv("tasks", "attach", container), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const attachEnd = new Promise<number | null>((resolve) => attached.once("close", resolve));
    try {
      // It holds the task's FIFOs open from then on.
      await until("it is attached", () =>
        openFilesOf(attached.pid!).some((file) =>
          file.startsWith(path.join(bed.daemon.folder, "state")),
        ),
      );
      await ctr("tasks", "kill", "--signal", "SIGTERM", container);
      const status = await cri.reaches(container, "CONTAINER_EXITED");
      assert.equal(status.exitCode, 5);
      assert.equal(await attachEnd, 5);
    } finally {
      await endChild(attached);
    }
    const again = await run("ctr", argv("tasks", "kill", container));
    assert.match(again.stderr, /not found/i, "a signal to a dead container");
  });
});
