// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { buildContainerSpec } from "../../../src/cri/oci-spec/build-container-spec.ts";
import { buildSandboxSpec } from "../../../src/cri/oci-spec/build-sandbox-spec.ts";
import { readHostFacts } from "../../../src/cri/oci-spec/host-facts.ts";
import type {
  ContainerSpecInput,
  HostFacts,
  RuntimeFeatures,
} from "../../../src/cri/oci-spec/ports.ts";
import { readRuntimeFeatures } from "../../../src/cri/oci-spec/runtime-features.ts";
import type { ContainerConfigInit } from "../../../src/gen/cri.gen.ts";
import { encodeOciSpec } from "../../../src/oci/encode-spec.ts";
import { openRootfs } from "../../../src/oci/rootfs/rootfs-reader.ts";
import type { OciSpec } from "../../../src/oci/spec.ts";
import { workHere } from "../../../src/trees/run-here.ts";
import { findProgram } from "../../support/lacking.ts";
import { type RunResult, run } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { containerInput, sandboxInput, testServices } from "../../support/spec-input.ts";

const missing = ["runc", "busybox", "unshare"].filter((name) => findProgram(name) === undefined);
process.umask(0o022); // containers look into what is made here, as another user
const skip =
  process.getuid?.() !== 0
    ? "needs root"
    : missing.length > 0
      ? `needs ${missing.join(", ")}`
      : false;

let place: Scratch;
let host: HostFacts;
let features: RuntimeFeatures;
let holder: ChildProcess;
let pid = 0;
let count = 0;

before(async () => {
  if (skip) return;
  place = await scratch({ prefix: "spec" });
  host = await readHostFacts();
  features = await readRuntimeFeatures("runc", host.kernelRelease, {
    signal: AbortSignal.timeout(60_000),
  });
  // Stands for the sandbox's init: a process in network, IPC and UTS namespaces of its own.
  holder = spawn("unshare", ["-n", "-i", "-u", "sh", "-c", "echo up; exec sleep 600"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise((resolve) => holder.stdout?.once("data", resolve));
  pid = holder.pid ?? 0;
  for (const name of ["hostname", "hosts", "resolv.conf"]) {
    await writeFile(path.join(place.path, name), `${name} of the pod\n`);
  }
  await mkdir(path.join(place.path, "shm"));
});

after(async () => {
  if (skip) return;
  const gone = new Promise((resolve) => holder.once("exit", resolve));
  holder.kill("SIGKILL");
  await gone;
  await place[Symbol.asyncDispose]();
});

/** Makes a rootfs with busybox, builds the spec, and runs it in the foreground. */
async function runContainer(
  config: ContainerConfigInit,
  changes: Partial<ContainerSpecInput> = {},
): Promise<RunResult> {
  const bundle = await makeBundle();
  const files = {
    hostname: path.join(place.path, "hostname"),
    hosts: path.join(place.path, "hosts"),
    resolvConf: path.join(place.path, "resolv.conf"),
    shm: path.join(place.path, "shm"),
  };
  const input = containerInput({
    id: path.basename(bundle),
    config,
    sandboxPid: pid,
    host,
    features,
    files,
    rootfs: openRootfs(path.join(bundle, "rootfs"), { work: workHere() }),
    volumesDir: path.join(bundle, "volumes"),
    pod: {
      linux: { cgroupParent: `/berth-spec-${place.tag}`, securityContext: { privileged: true } },
    },
    ...changes,
  });
  const { spec } = await buildContainerSpec(input, testServices);
  // The stand-in has no PID namespace to join.
  spec.linux.namespaces = spec.linux.namespaces.map((namespace) =>
    namespace.type === "pid" ? { type: "pid" } : namespace,
  );
  return runSpec(bundle, spec);
}

async function runSpec(bundle: string, spec: OciSpec): Promise<RunResult> {
  await writeFile(path.join(bundle, "config.json"), encodeOciSpec(spec));
  const id = path.basename(bundle);
  const root = path.join(place.path, "runc");
  try {
    return await run("runc", ["--root", root, "run", "--bundle", bundle, id], {
      timeoutMs: 60_000,
    });
  } finally {
    await run("runc", ["--root", root, "delete", "--force", id]);
    await run("sh", [
      "-c",
      `rmdir /sys/fs/cgroup/*/berth-spec-${place.tag} /sys/fs/cgroup/berth-spec-${place.tag} 2>/dev/null`,
    ]);
    await rm(bundle, { recursive: true, force: true });
  }
}

async function makeBundle(): Promise<string> {
  count += 1;
  const bundle = path.join(place.path, `spec-${place.tag}-${count}`);
  const rootfs = path.join(bundle, "rootfs");
  for (const folder of ["bin", "etc", "proc", "sys", "dev", "tmp", "data"]) {
    await mkdir(path.join(rootfs, folder), { recursive: true });
  }
  await copyFile("/bin/busybox", path.join(rootfs, "bin/busybox"));
  for (const name of [
    "sh",
    "cat",
    "id",
    "mkdir",
    "touch",
    "ls",
    "env",
    "chown",
    "stat",
    "unshare",
    "rmdir",
  ]) {
    await symlink("busybox", path.join(rootfs, "bin", name));
  }
  await writeFile(
    path.join(rootfs, "etc/passwd"),
    "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n",
  );
  await writeFile(path.join(rootfs, "etc/group"), "root:x:0:\napp:x:1001:\nextra:x:2000:app\n");
  await writeFile(path.join(rootfs, "data/seed"), "seeded\n");
  return bundle;
}

interface Case {
  readonly name: string;
  readonly config: ContainerConfigInit;
  readonly script: string;
  readonly out: RegExp;
}

/** Of cgroup v1 in a controller's tree, of v2 in the one there is. */
const makeCgroup = `cd /sys/fs/cgroup
  if [ -e memory/cgroup.procs ]; then cd memory; fi
  mkdir berth-spec-new 2>/dev/null && rmdir berth-spec-new && echo made || echo refused`;

const cases: readonly Case[] = [
  {
    name: "user by name, its groups from the image",
    config: { linux: { securityContext: { runAsUsername: "app", supplementalGroups: [3000] } } },
    script: "id -u; id -g; id -G",
    out: /^1000\n1001\n1001 2000 3000\n$/,
  },
  {
    name: "Strict takes no groups from the image",
    config: {
      linux: {
        securityContext: { runAsUser: { value: 1000 }, supplementalGroupsPolicy: "Strict" },
      },
    },
    script: "id -G",
    out: /^1001\n$/,
  },
  {
    name: "dropped capabilities are gone",
    config: {
      linux: {
        securityContext: {
          capabilities: { dropCapabilities: ["ALL"], addCapabilities: ["CHOWN"] },
        },
      },
    },
    script: "cat /proc/self/status",
    out: /CapInh:\s0+\nCapPrm:\s0+1\nCapEff:\s0+1\nCapBnd:\s0+1\nCapAmb:\s0+\n/,
  },
  {
    name: "masked and read-only paths",
    config: {
      linux: {
        securityContext: {
          maskedPaths: ["/proc/kcore", "/proc/scsi", "/data"],
          readonlyPaths: ["/proc/sys"],
        },
      },
    },
    script:
      "ls /data | cat; cat /proc/kcore | cat; echo 1 > /proc/sys/net/ipv4/ip_forward || echo refused",
    out: /^refused\n$/,
  },
  {
    name: "read-only rootfs",
    config: { linux: { securityContext: { readonlyRootfs: true } } },
    script: "touch /x 2>/dev/null || echo refused",
    out: /^refused\n$/,
  },
  {
    name: "RuntimeDefault seccomp",
    config: { linux: { securityContext: { seccomp: { profileType: "RuntimeDefault" } } } },
    script: "cat /proc/self/status; unshare -U true 2>/dev/null || echo refused",
    out: /Seccomp:\s2\n[\s\S]*refused\n$/,
  },
  {
    name: "no seccomp profile is unconfined",
    config: {},
    script: "cat /proc/self/status",
    out: /Seccomp:\s0\n/,
  },
  {
    name: "no_new_privs",
    config: { linux: { securityContext: { noNewPrivs: true } } },
    script: "cat /proc/self/status",
    out: /NoNewPrivs:\s1\n/,
  },
  {
    name: "the pod's files",
    config: {},
    script: "cat /etc/hostname /etc/hosts /etc/resolv.conf; touch /dev/shm/x && echo writable",
    out: /^hostname of the pod\nhosts of the pod\nresolv\.conf of the pod\nwritable\n$/,
  },
  {
    name: "environment and working directory",
    config: { workingDir: "/data", envs: [{ key: "A", value: Buffer.from("b c") }] },
    script: 'echo "$A $HOSTNAME $PWD"',
    out: /^b c web \/data\n$/,
  },
  {
    name: "privileged: all capabilities, writable sysctls, host devices",
    config: { linux: { securityContext: { privileged: true, maskedPaths: ["/data"] } } },
    script:
      "ls /data; ls /dev/kmsg; stat -c %t:%T /dev/kmsg; echo 1 > /proc/sys/net/ipv4/ip_forward && echo written",
    out: /^seed\n\/dev\/kmsg\n1:b\nwritten\n$/,
  },
  {
    name: "resources reach the cgroup",
    config: {
      linux: {
        resources: { memoryLimitInBytes: 64n * 1024n * 1024n, cpuShares: 512n, oomScoreAdj: 500n },
      },
    },
    script:
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max; cat /proc/self/oom_score_adj",
    out: /^67108864\n500\n$/,
  },
  {
    name: "a cgroup namespace of its own",
    config: {
      linux: { securityContext: { namespaceOptions: { cgroupnsOptions: { mode: "CONTAINER" } } } },
    },
    script: "cat /proc/self/cgroup",
    out: /^(\d+:.*:\/\n)+$/,
  },
  {
    name: "the node's cgroup namespace, with a tree that is read-only",
    config: {
      linux: { securityContext: { namespaceOptions: { cgroupnsOptions: { mode: "NODE" } } } },
    },
    script: `cat /proc/self/cgroup; ${makeCgroup}`,
    out: /:\/berth-spec-\S+\nrefused\n$/,
  },
  {
    name: "privileged: the node's cgroup tree, writable",
    config: { linux: { securityContext: { privileged: true } } },
    script: `cat /proc/self/cgroup; ${makeCgroup}`,
    out: /:\/berth-spec-\S+\nmade\n$/,
  },
  {
    name: "a device that is asked for",
    config: { devices: [{ hostPath: "/dev/fuse", containerPath: "/dev/given", permissions: "r" }] },
    script:
      "stat -c %t:%T /dev/given; true < /dev/given && echo readable; true 2>/dev/null > /dev/given || echo refused",
    out: /^a:e5\nreadable\nrefused\n$/,
  },
];

const casesOfV2: readonly Case[] = [
  {
    name: "a writable cgroup tree, in a namespace of its own",
    config: { linux: { securityContext: { cgroupMountMode: "CGROUP_MOUNT_MODE_READ_WRITE" } } },
    script: `cat /proc/self/cgroup; ${makeCgroup}`,
    out: /0::\/\nmade\n$/,
  },
];

for (const { name, config, script, out } of [
  ...cases,
  ...(existsSync("/sys/fs/cgroup/cgroup.controllers") ? casesOfV2 : []),
]) {
  test(`runc runs a spec: ${name}`, { skip }, async () => {
    const result = await runContainer({ command: ["/bin/sh", "-c", script], ...config });
    assert.match(result.stdout, out, result.stderr);
  });
}

test("an image's volume starts with the image's content and takes writes", { skip }, async () => {
  const image = containerInput({ imageConfig: { volumes: ["/data", "fresh"] } }).image;
  const result = await runContainer(
    {
      command: [
        "/bin/sh",
        "-c",
        "cat /data/seed; touch /data/new /fresh/new; ls /data /fresh; touch /x || echo ro",
      ],
      linux: { securityContext: { readonlyRootfs: true } },
    },
    { image },
  );
  // The read-only root has no /fresh for runc to mount on unless runc may make it first.
  assert.match(result.stdout, /^seeded\n\/data:\nnew\nseed\n\n\/fresh:\nnew\nro\n$/, result.stderr);
});

test("a mount is read-only below as well when it is recursive", { skip }, async (t) => {
  if (!features.recursiveReadOnlyMounts) return t.skip("needs a runtime with rro mounts");
  const source = await place.folder("rro source");
  const inner = await place.folder("rro source", "inner");
  await run("mount", ["-t", "tmpfs", "tmpfs", inner]);
  try {
    const result = await runContainer({
      command: ["/bin/sh", "-c", "touch /m/inner/x || echo refused"],
      mounts: [{ containerPath: "/m", hostPath: source, readonly: true, recursiveReadOnly: true }],
    });
    assert.equal(result.stdout, "refused\n", result.stderr);
  } finally {
    await run("umount", [inner]);
  }
});

test("mount options hold, and below where they are recursive", { skip }, async () => {
  const source = await place.folder("options source");
  const inner = await place.folder("options source", "inner");
  await run("mount", ["-t", "tmpfs", "tmpfs", inner]);
  try {
    for (const folder of [source, inner])
      await copyFile("/bin/busybox", path.join(folder, "busybox"));
    const tries = async (...mountOptions: string[]): Promise<string> => {
      const { stdout, stderr } = await runContainer({
        command: [
          "/bin/sh",
          "-c",
          "/m/busybox true && echo outer; /m/inner/busybox true && echo inner; echo end",
        ],
        mounts: [{ containerPath: "/m", hostPath: source, mountOptions }],
      });
      assert.match(stdout, /end/, stderr);
      return stdout.replaceAll("\n", " ");
    };
    assert.equal(await tries("nosuid"), "outer inner end ");
    assert.equal(await tries("noexec", "nodev"), "inner end ");
    assert.equal(await tries("rnoexec"), "end ");
  } finally {
    await run("umount", [inner]);
  }
});

test("runc runs the sandbox's spec on a shared read-only rootfs", { skip }, async () => {
  const bundle = await makeBundle();
  const rootfs = path.join(bundle, "pause");
  for (const folder of ["proc", "dev", "sys", "etc"])
    await mkdir(path.join(rootfs, folder), { recursive: true });
  // A stand-in for /pause that tells what it sees; busybox picks its applet by name.
  await copyFile("/bin/busybox", path.join(rootfs, "busybox"));
  const shm = path.join(place.path, "shm");
  const spec = await buildSandboxSpec(
    sandboxInput({
      id: path.basename(bundle),
      netnsPath: `/proc/${pid}/ns/net`,
      pauseRootfs: rootfs,
      host,
      features,
      files: { hostname: "", hosts: "", resolvConf: "", shm },
      config: {
        hostname: "pod-host",
        linux: {
          cgroupParent: `/berth-spec-${place.tag}`,
          sysctls: { "kernel.shm_rmid_forced": "1" },
          securityContext: { seccomp: { profileType: "RuntimeDefault" } },
        },
      },
    }),
    testServices,
  );
  assert.deepEqual(spec.process.args, ["/pause"]);
  spec.process.args = [
    "/busybox",
    "sh",
    "-c",
    "/busybox hostname; /busybox cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start; /busybox id -u; /busybox grep -E 'Cap|Seccomp:' /proc/self/status",
  ];
  const result = await runSpec(bundle, spec);
  assert.match(
    result.stdout,
    /^pod-host\n1\n0\n65535\n(Cap\w+:\s0+\n){5}Seccomp:\s2\n$/,
    result.stderr,
  );
});
