// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import type { LinuxContainerSecurityContextInit } from "../../../src/gen/cri.gen.ts";
import type { RunningPod } from "../../support/pods.ts";
import { must } from "../../support/run.ts";
import { GuestNode } from "../guest/node.ts";

/** Lets all be done but writing below /tmp. */
const profile = `profile vm-no-writes flags=(attach_disconnected) {
  file,
  capability,
  network,
  signal,
  umount,
  deny /tmp/** w,
}
`;

suite("AppArmor", () => {
  const node = new GuestNode();
  const { cri } = node;
  let pod: RunningPod;
  const start = (securityContext: LinuxContainerSecurityContextInit): Promise<string> =>
    cri.startContainer(pod, node.image("shell"), ["sleep", "100000"], {
      linux: { securityContext },
    });
  const labelOf = async (id: string): Promise<string> =>
    (await readFile(`/proc/${await node.pidOf(id)}/attr/current`, "utf8")).trim();

  before(async () => {
    await writeFile("/tmp/vm-no-writes", profile);
    await must("apparmor_parser", ["-r", "/tmp/vm-no-writes"], { timeoutMs: 120_000 });
    await node.pull();
    pod = await node.runPod();
  });
  after(() => node[Symbol.asyncDispose]());

  test("a profile by name holds the container and its execs", async () => {
    const id = await start({
      apparmor: { profileType: "Localhost", localhostRef: "vm-no-writes" },
    });
    assert.equal(await labelOf(id), "vm-no-writes (enforce)");
    const write = await cri.exec(id, ["sh", "-c", "echo x > /tmp/file"]);
    assert.notEqual(write.exitCode, 0);
    const read = await cri.exec(id, ["cat", "/proc/self/attr/current"]);
    assert.equal(read.stdout.trim(), "vm-no-writes (enforce)");
  });

  test("the field of before names it with a prefix", async () => {
    const id = await start({ apparmorProfile: "localhost/vm-no-writes" });
    assert.equal(await labelOf(id), "vm-no-writes (enforce)");
  });

  test("Unconfined is unconfined", async () => {
    const id = await start({ apparmor: { profileType: "Unconfined" } });
    assert.equal(await labelOf(id), "unconfined");
  });

  test("a profile that is not loaded is refused", async () => {
    await assert.rejects(
      start({ apparmor: { profileType: "Localhost", localhostRef: "vm-not-there" } }),
      /profile "vm-not-there" is not loaded/,
    );
  });

  test("RuntimeDefault is Berth's own profile: it denies the host's settings and no usual work", async () => {
    const id = await start({
      apparmor: { profileType: "RuntimeDefault" },
      // What this allows is left to the profile alone.
      capabilities: { addCapabilities: ["SYS_ADMIN"] },
      maskedPaths: [],
      readonlyPaths: [],
    });
    assert.equal(await labelOf(id), "berth-default (enforce)");
    const { stdout } = await cri.exec(id, [
      "sh",
      "-c",
      `echo x > /tmp/file && cat /tmp/file
      echo x > /proc/sysrq-trigger || echo no sysrq
      echo 1 > /proc/sys/vm/swappiness || echo no sysctl
      mkdir /tmp/m; mount -t tmpfs none /tmp/m || echo no mount
      sleep 1000 & kill $! && echo own signals`,
    ]);
    assert.deepEqual(stdout.trim().split("\n"), [
      "x",
      "no sysrq",
      "no sysctl",
      "no mount",
      "own signals",
    ]);
  });

  test("a container that asks for nothing gets the default, and the host's signals reach it", async () => {
    const id = await cri.startContainer(pod, node.image("shell"), [
      "sh",
      "-c",
      "trap 'exit 7' TERM; while :; do sleep 1; done",
    ]);
    assert.equal(await labelOf(id), "berth-default (enforce)");
    await cri.runtime.StopContainer({ containerId: id, timeout: 60n });
    assert.equal((await cri.status(id)).exitCode, 7);
  });

  test("a privileged container is left alone by the default", async () => {
    const privileged = await node.runPod({ linux: { securityContext: { privileged: true } } });
    const id = await cri.startContainer(privileged, node.image("shell"), ["sleep", "100000"], {
      linux: { securityContext: { privileged: true } },
    });
    assert.equal(await labelOf(id), "unconfined");
  });
});
