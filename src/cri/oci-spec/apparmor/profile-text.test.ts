// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { defaultProfileText, notStartingWith, othersThan } from "./profile-text.ts";

const facts = { name: "berth-default", daemonLabel: "unconfined", parser: [3, 0] as const };

/** An AppArmor glob as a regular expression, of what our globs use of them. */
function matcher(glob: string): RegExp {
  const source = glob
    .replaceAll(".", "\\.")
    .replaceAll("**", "\0")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]")
    .replaceAll("\0", ".*")
    .replaceAll("{", "(?:")
    .replaceAll("}", ")")
    .replaceAll(",", "|");
  return new RegExp(`^${source}$`);
}

const names = fc.oneof(
  fc.stringMatching(/^[a-z0-9._-]{1,12}$/),
  fc.constantFrom(
    "s",
    "sy",
    "sys",
    "sysvipc",
    "fs",
    "cgroup",
    "cgroup2",
    "kernel",
    "shm",
    "shmall",
  ),
);

describe("globs of what is denied", () => {
  it("match every name but the one", () => {
    fc.assert(
      fc.property(names, names, (spared, name) => {
        assert.equal(matcher(othersThan(spared)).test(name), name !== spared);
      }),
    );
  });

  it("spare what starts with given letters, too", () => {
    const glob = matcher(othersThan("sys", "0-9"));
    for (const name of ["1", "4242", "sys"]) assert.ok(!glob.test(name), name);
    for (const name of ["irq", "sysvipc", "s", "sy", "scsi"]) assert.ok(glob.test(name), name);
  });

  it("match every path that does not start so", () => {
    const glob = matcher(notStartingWith("shm"));
    for (const name of ["shmmax", "shm_rmid_forced", "shm"]) assert.ok(!glob.test(name), name);
    for (const name of ["sem", "core_pattern", "s", "sh", "yama/ptrace_scope", "random/boot_id"]) {
      assert.ok(glob.test(name), name);
    }
  });
});

describe("defaultProfileText", () => {
  const denied = (access: string) =>
    [...defaultProfileText(facts).matchAll(/^ {2}deny (\/\S+) (\S+),$/gm)]
      .filter(([, , flags]) => flags?.includes(access))
      .map(([, glob]) => matcher(glob ?? ""));
  const isDenied = (path: string, access: string): boolean =>
    denied(access).some((glob) => glob.test(path));

  for (const path of [
    "/proc/sysrq-trigger",
    "/proc/kcore",
    "/proc/irq/1/smp_affinity",
    "/proc/acpi/wakeup",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sys/net/ipv4/ip_forward",
    "/sys/kernel/uevent_helper",
    "/sys/firmware/efi/vars/x",
    "/sys/fs/bpf/x",
    "/sys/fs/cgroup2/x",
    "/sys/module/zswap/parameters/enabled",
  ]) {
    it(`denies to write ${path}`, () => assert.ok(isDenied(path, "w")));
  }

  for (const path of [
    "/proc/1/oom_score_adj",
    "/proc/4242/task/7/comm",
    "/proc/sys/kernel/shmmax",
    "/sys/fs/cgroup/memory/x",
    "/etc/passwd",
    "/dev/null",
  ]) {
    it(`leaves writing ${path} to the other walls`, () => assert.ok(!isDenied(path, "w")));
  }

  it("denies to read host memory and firmware, and to mount", () => {
    for (const path of ["/proc/kcore", "/sys/firmware/x", "/sys/kernel/security/apparmor/x"]) {
      assert.ok(isDenied(path, "r"), path);
    }
    assert.ok(!isDenied("/sys/class/net/eth0/mtu", "r"));
    assert.match(defaultProfileText(facts), /^ {2}deny mount,$/m);
  });

  it("takes signals from the daemon's own profile, and from newer releases' runtime profiles", () => {
    const text = defaultProfileText({ ...facts, daemonLabel: "/usr/bin/berthd" });
    for (const peer of ["unconfined", "runc", "crun", "/usr/bin/berthd"]) {
      assert.ok(text.includes(`signal (receive) peer="${peer}",`), peer);
    }
    assert.ok(text.includes('signal (send, receive) peer="berth-default",'));
  });

  it("names only what the parser knows", () => {
    assert.doesNotMatch(defaultProfileText(facts), /userns/);
    assert.match(defaultProfileText({ ...facts, parser: [4, 1] }), /^ {2}userns,$/m);
  });
});
