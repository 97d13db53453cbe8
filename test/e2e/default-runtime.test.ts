// SPDX-License-Identifier: Apache-2.0
// Which OCI runtime pods have whose RuntimeClass names none: runc, and crun from when it is known to work.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { mount } from "../../src/base/os/mount.ts";
import { isBesideCgroup2 } from "../support/crun-here.ts";
import { findProgram, lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { must } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const berth = path.resolve(import.meta.dirname, "../../bin/berth");

suite("default runtime", { skip: lacking("crun", ...podPrograms) }, () => {
  let home: Scratch;
  let bed: Testbed;
  let cri: Cri;
  let program: string;
  let binary: string;
  const calls = (): string => path.join(home.path, "calls");
  const aside = (): string => `${program}.aside`;
  before(async () => {
    home = await scratch({ prefix: "crun", space: false });
    const bin = await home.folder("bin");
    program = path.join(bin, "crun");
    const real = findProgram("crun") ?? "crun";
    // Keeps a record of its calls, and does not create before it may.
    await writeFile(
      program,
      [
        "#!/bin/sh",
        `echo "$*" >>'${calls()}'`,
        `case "$*" in *" create "*) while ! [ -e '${home.path}/go' ]; do sleep 0.05; done ;; esac`,
        `exec '${real}' "$@"`,
        "",
      ].join("\n"),
      { mode: 0o755 },
    );
    bed = await openTestbed({
      config: { runtime: { default_handler: "" } },
      env: { PATH: `${bin}:${await otherPrograms(await home.folder("links"))}` },
    });
    ({ cri } = bed);
    // Beside a cgroup v2 tree with controllers, crun is run where it does not see that.
    binary = isBesideCgroup2() ? path.join(bed.daemon.folder, "root/crun/crun") : program;
  });
  after(async () => {
    if (existsSync(aside())) await rename(aside(), program); // a test has failed
    await bed?.finish();
    await home?.[Symbol.asyncDispose]();
  });

  const berthSays = (...args: string[]): Promise<string> =>
    must(berth, ["--address", bed.daemon.socket, ...args]);
  const runtimeOf = async (pod: RunningPod): Promise<string | undefined> =>
    /^runtime +(.*)$/m.exec(await berthSays("pod", "inspect", pod.id))?.[1];
  const chosen = async (): Promise<string | undefined> =>
    /^default OCI runtime: (.*)$/m.exec(await berthSays("status"))?.[1];
  const becomes = (what: RegExp, timeoutMs: number): Promise<unknown> =>
    until(`the default runtime is ${what}`, async () => what.test((await chosen()) ?? ""), {
      timeoutMs,
    });
  const shell = (pod: RunningPod): Promise<string> =>
    cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"]);
  const answers = async (id: string): Promise<void> => {
    assert.equal((await cri.exec(id, ["echo", "here"])).stdout, "here\n");
  };

  test("it is runc until crun has run a container, then crun, and each pod keeps its own", async () => {
    await until("crun is being tried", () => existsSync(calls()));
    assert.match((await chosen()) ?? "", /^runc \(no choice yet: crun is being tried\)$/);
    const early = await cri.runPod();
    const inEarly = await shell(early);
    assert.equal(await runtimeOf(early), "runc");

    await writeFile(path.join(home.path, "go"), "");
    // A trial runs at a low priority; one that a busy machine held up too long is followed by another after a while.
    await becomes(/^\/.+\/crun \(choice: crun \S+ has run a container here/, 240_000);
    const status = await berthSays("status");
    assert.equal(
      /here as \S+\/bin\/crun without cgroup v2 in sight/.test(status),
      binary !== program,
    );
    const { runtimeHandlers } = await cri.runtime.Status({});
    assert.deepEqual(
      runtimeHandlers.map(({ name }) => name),
      ["", "runc"],
    );
    const late = await cri.runPod();
    const inLate = await shell(late);
    assert.equal(await runtimeOf(late), binary);
    assert.equal(await runtimeOf(await cri.runPod({}, "runc")), "runc");
    await answers(inLate);

    await bed.daemon.kill9();
    const before = await trials(calls());
    await bed.daemon.start();
    assert.match((await chosen()) ?? "", /crun \(choice: /, "it is remembered");
    for (const [pod, runtime] of [
      [early, "runc"],
      [late, binary],
    ] as const) {
      assert.equal(await runtimeOf(pod), runtime);
      await answers(await shell(pod));
    }
    for (const id of [inEarly, inLate]) await answers(id);
    assert.equal(await trials(calls()), before, "it is not tried again");
  });

  test("what somebody has mounted in a rootfs stops no removal with crun either", async () => {
    const pod = await cri.runPod();
    assert.equal(await runtimeOf(pod), binary);
    const id = await shell(pod);
    const tasks = path.join(bed.daemon.territory.state, "io.containerd.runtime.v2.task/k8s.io");
    const target = path.join(tasks, id, "rootfs/tmp");
    mount({ source: "tmpfs", target, type: "tmpfs", flags: 0, data: "" });
    await cri.runtime.StopContainer({ containerId: id, timeout: 0n });
    await cri.runtime.RemoveContainer({ containerId: id });
    assert.ok(!(await readFile("/proc/self/mountinfo", "utf8")).includes(id));
    await cri.removePod(pod.id);
  });

  test("a crun that goes or breaks is an error of its own pods, and others have runc", async () => {
    const mine = await cri.runPod();
    const inMine = await shell(mine);
    assert.equal(await runtimeOf(mine), binary);
    const lone = await cri.runPod();
    const inLone = await shell(lone);
    await rename(program, aside());
    const other = await cri.runPod();
    assert.equal(await runtimeOf(other), "runc");
    await answers(await shell(other));
    await becomes(/^runc \(choice: there is no crun on PATH\)$/, 60_000);
    await assert.rejects(cri.exec(inMine, ["true"]), /crun/);
    // A pod whose OCI runtime is gone is ended without it. The first attempt may say that it could not.
    await until("a pod is removed without its crun", async () =>
      cri.removePod(lone.id).then(
        () => true,
        (error: unknown) => {
          assert.match(String(error), /crun/);
          return false;
        },
      ),
    );
    for (const id of [lone.id, inLone]) assert.ok(!existsSync(`/run/containerd/runc/k8s.io/${id}`));

    await writeFile(program, "#!/bin/sh\necho 'crun: out of order' >&2\nexit 1\n", { mode: 0o755 });
    const next = await cri.runPod();
    assert.equal(await runtimeOf(next), "runc");
    await assert.rejects(cri.exec(inMine, ["true"]), /\/crun did not terminate/);
    await answers(await shell(next));
    assert.equal(await runtimeOf(mine), binary);

    // Until it is back its pods cannot even be ended, and say so.
    const stop = { containerId: inMine, timeout: 0n };
    await assert.rejects(cri.runtime.StopContainer(stop), /out of order/);
    for (const pod of [other, next]) await cri.removePod(pod.id);
    await rename(aside(), program);
    await answers(inMine);
    await cri.removePod(mine.id);
  });

  test("nothing is left of trials and of pods", async () => {
    const { items } = await cri.runtime.ListPodSandbox({});
    for (const { id } of items) await cri.removePod(id);
    await nothingLeft(bed.daemon.territory);
    const trialFolder = path.join(bed.daemon.territory.state, "runtime-trials");
    assert.deepEqual(await readdir(trialFolder), []);
    const kept = path.join(bed.daemon.folder, "root/default-runtime.json");
    for (const [file, mode] of [
      [trialFolder, 0o700],
      [kept, 0o600],
    ] as const) {
      assert.equal((await stat(file)).mode & 0o7777, mode, file);
    }
  });
});

/** How many containers it was asked to create that are no pod's. */
async function trials(file: string): Promise<number> {
  const lines = (await readFile(file, "utf8")).split("\n");
  return lines.filter((line) => / create .*berth-trial-/.test(line)).length;
}

/** A PATH with the machine's programs, but for a crun that is not ours, and CRIU, which speaks for runc. */
async function otherPrograms(links: string): Promise<string> {
  const hidden = new Set(["crun", "criu"]);
  for (const folder of `${process.env["PATH"]}:/usr/sbin:/sbin`.split(":")) {
    for (const name of await readdir(folder).catch(() => [])) {
      if (hidden.has(name)) continue;
      await symlink(path.join(folder, name), path.join(links, name)).catch(() => {});
    }
  }
  return links;
}
