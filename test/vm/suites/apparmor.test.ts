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

  test("RuntimeDefault is enforced, and lets the host's processes alone", async () => {
    const id = await start({ apparmor: { profileType: "RuntimeDefault" } });
    assert.match(await labelOf(id), /^\S+ \(enforce\)$/);
    const written = await cri.exec(id, ["sh", "-c", "echo x > /tmp/file && cat /tmp/file"]);
    assert.equal(written.stdout, "x\n", "what containers usually do goes on");
    const kernel = await cri.exec(id, ["sh", "-c", "echo x > /proc/sysrq-trigger"]);
    assert.notEqual(kernel.exitCode, 0);
    await cri.runtime.StopContainer({ containerId: id, timeout: 0n });
  });

  test("a container that asks for nothing gets the default", async () => {
    const id = await start({});
    assert.match(await labelOf(id), /^\S+ \(enforce\)$/);
  });
});
