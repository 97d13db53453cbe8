// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { defaultHandler } from "../../../src/config/defaults.ts";
import { buildContainerSpec } from "../../../src/cri/oci-spec/build-container-spec.ts";
import { buildSandboxSpec } from "../../../src/cri/oci-spec/build-sandbox-spec.ts";
import { validContainerConfig, validSandboxConfig } from "../../../src/cri/validate.ts";
import type { ContainerConfig, PodSandboxConfig } from "../../../src/gen/cri.gen.ts";
import { encodeOciSpec, parseExactJson } from "../../../src/oci/encode-spec.ts";
import type { OciSpec } from "../../../src/oci/spec.ts";
import { codec } from "../../../src/rpc/codec.ts";
import {
  containerInput,
  memoryRootfs,
  plainHost,
  sandboxInput,
  testServices,
} from "../../support/spec-input.ts";
import { ByteSource } from "../byte-source.ts";
import { randomMessage } from "../random-message.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { mixedSeeds } from "../support/mixed-seeds.ts";
import { type FuzzTarget, refused } from "../target.ts";

const codes = ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNIMPLEMENTED", "NOT_FOUND"] as const;
const containers = codec("runtime.v1.ContainerConfig");
const pods = codec("runtime.v1.PodSandboxConfig");
const rootfs = memoryRootfs({
  "/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n",
  "/etc/group": "root:x:0:\nstaff:x:50:app\n",
});

/** OCI specs of any pods and containers: each part of a request is where it belongs, as it was given, and nothing else is. */
export const target: FuzzTarget = {
  name: "cri-specs",
  parses: [
    "src/cri/validate.ts",
    "src/cri/config-limits.ts",
    "src/oci/encode-spec.ts",
    "src/cri/oci-spec/add-mounts.ts",
    "src/cri/oci-spec/annotations.ts",
    "src/cri/oci-spec/args.ts",
    "src/oci/base-spec.ts",
    "src/cri/oci-spec/build-container-spec.ts",
    "src/cri/oci-spec/build-sandbox-spec.ts",
    "src/cri/oci-spec/capabilities.ts",
    "src/cri/oci-spec/cgroups-path.ts",
    "src/cri/oci-spec/confine.ts",
    "src/cri/oci-spec/container-mounts.ts",
    "src/oci/default-mounts.ts",
    "src/cri/oci-spec/devices.ts",
    "src/cri/oci-spec/env.ts",
    "src/base/file-problem.ts",
    "src/cri/oci-spec/host-paths.ts",
    "src/cri/oci-spec/hugepages.ts",
    "src/base/invalid-field.ts",
    "src/oci/masked-paths.ts",
    "src/cri/oci-spec/mount-propagation.ts",
    "src/cri/oci-spec/namespaces.ts",
    "src/cri/oci-spec/oom-score.ts",
    "src/cri/oci-spec/pod-hostname.ts",
    "src/cri/oci-spec/requested-mounts.ts",
    "src/cri/oci-spec/resources.ts",
    "src/cri/oci-spec/selinux.ts",
    "src/cri/oci-spec/sysctls.ts",
    "src/cri/oci-spec/user-namespace.ts",
    "src/oci/user.ts",
    "src/cri/oci-spec/volumes.ts",
  ],
  dictionary: [
    "CAP_SYS_ADMIN",
    "net.ipv4.ip_forward",
    "app",
    "staff",
    "localhost/default",
    "/proc/acpi",
  ],
  maxBytes: 1024,
  seeds: () => mixedSeeds(40, 300),
  run: async (input) => {
    const source = new ByteSource(input);
    const top = path.join(scratchFolder("cri-specs"), "host");
    mkdirSync(top, { recursive: true });
    const pod = drawPod(source);
    await checkSandbox(pod);
    await checkContainer(drawContainer(source, top), pod, source);
    assert.deepEqual(readdirSync(scratchFolder("cri-specs")), ["host"]);
  },
};

/** Half of what is drawn would be refused for one of its parts: most of these are good ones. */
function words(source: ByteSource, top: string): (field: string) => string | undefined {
  const good: Readonly<Record<string, readonly string[]>> = {
    hostPath: [`${top}/a`, `${top}/b c`, top, `${top}/d/e`, `${top}/f`, `${top}/g`, "relative", ""],
    containerPath: ["/data", "/etc/hosts", "/dev", "../up", "/a/../b", "/dev/shm"],
    addCapabilities: ["ALL", "NET_ADMIN", "cap_kill", "CAP_CHOWN", "NONE"],
    dropCapabilities: ["ALL", "KILL", "chown"],
    addAmbientCapabilities: ["KILL"],
    runAsUsername: ["", "app", "root", "7", "nobody"],
    cgroupParent: ["", "/kubepods/pod1", "a/b", "/kubepods", "/k/p", "k", "/x", "/../x"],
    command: ["sh", "-c", "echo", "", "é"],
    args: ["a", "", "b c", "x"],
    key: ["A", "PATH", "HOSTNAME", "B", "a.b", "C", "D", ""],
    role: [""],
    type: [""],
    level: [""],
    user: [""],
    workingDir: ["", "/work", "/", "/a/../b", "relative"],
    permissions: ["", "r", "rwm", "x"],
    cpusetCpus: ["", "0-2,5", "a"],
    cpusetMems: ["", "0"],
    pageSize: ["2MB", "1GB", "3KB", "x"],
    localhostRef: ["", "localhost/x", "relative"],
    hostname: ["", "web", "é"],
    sysctls: [
      "net.ipv4.ip_forward",
      "kernel.sem",
      "kernel.shm_rmid_forced",
      "net/ipv4/x",
      "net.core.somaxconn",
      "fs.mqueue.msg_max",
      "kernel.msgmax",
      "vm.swappiness",
    ],
    unified: ["memory.high", "memory.oom.group", "../x"],
    image: [""], // needs a façade
    imageSubPath: [""],
    apparmorProfile: ["", "unconfined", "runtime/default"],
    seccompProfilePath: ["", "unconfined", "runtime/default"],
  };
  return (field) => {
    const choices = good[field];
    return choices === undefined ? undefined : source.pick(choices);
  };
}

function drawPod(source: ByteSource): PodSandboxConfig {
  const drawn = randomMessage(source, "runtime.v1.PodSandboxConfig", words(source, "/nonexistent"));
  const base = {
    metadata: { name: "web", uid: "u", namespace: "n", attempt: 0 },
    logDirectory: "/var/log/x",
  };
  return pods.decode(pods.encode({ ...drawn, ...base }));
}

function drawContainer(source: ByteSource, top: string): ContainerConfig {
  const drawn = randomMessage(source, "runtime.v1.ContainerConfig", words(source, top));
  // Its own devices are the host's; folders of them would be walked.
  const devices = source.list(2, () => ({
    hostPath: source.pick(["/dev/null", "/dev/none", "null"]),
    containerPath: source.pick(["", "/dev/x", "x"]),
    permissions: source.pick(["", "r", "rwm", "x"]),
  }));
  const mounts = source.list(3, () => ({
    containerPath: source.pick(["/data", "/etc/hosts", "/dev", "../up", "/a/../b", "/dev/shm", ""]),
    hostPath: source.pick([`${top}/a`, `${top}/b c`, top, `${top}/d/e`, `${top}/f`, "relative"]),
    readonly: source.bool(),
    recursiveReadOnly: source.below(5) === 0,
    propagation: source.pick([
      "PROPAGATION_PRIVATE",
      "PROPAGATION_PRIVATE",
      "PROPAGATION_PRIVATE",
      "PROPAGATION_BIDIRECTIONAL",
    ] as const),
  }));
  const base = {
    metadata: { name: "app", attempt: 0 },
    image: { image: "i" },
    mounts,
    devices,
    CDIDevices: [],
  };
  return containers.decode(containers.encode({ ...drawn, ...base }));
}

async function checkSandbox(config: PodSandboxConfig): Promise<void> {
  const options = config.linux?.securityContext?.namespaceOptions;
  const isHost = options?.network === "NODE";
  let spec: OciSpec;
  try {
    validSandboxConfig(config);
    spec = await buildSandboxSpec(
      { ...sandboxInput({ netnsPath: isHost ? "" : "/netns/x" }), config },
      testServices,
    );
  } catch (error) {
    return refused(error, ...codes);
  }
  checkWritten(spec);
  assert.deepEqual(spec.process.args, ["/pause"]);
  assert.equal(spec.process.noNewPrivileges, true);
  assert.deepEqual(spec.process.capabilities, { bounding: [], effective: [], permitted: [] });
  assert.equal(spec.root.readonly, true);
  const types = spec.linux.namespaces.map(({ type }) => type);
  assert.equal(types.includes("network"), !isHost);
  assert.equal(types.includes("pid"), options?.pid !== "NODE");
  assert.equal(types.includes("ipc"), options?.ipc !== "NODE");
  assert.equal(types.includes("user"), options?.usernsOptions?.mode === "POD");
  for (const [name, value] of Object.entries(config.linux?.sysctls ?? {}))
    assert.equal(spec.linux.sysctl?.[name], value, name);
  for (const name of Object.keys(spec.linux.sysctl ?? {}))
    assert.match(name, /^(?:net[./]|kernel[./](?:msg|sem|shm|domainname)|fs[./]mqueue)/);
  checkUser(spec, config.linux?.securityContext ?? null, 65_535);
  assert.ok(
    spec.linux.cgroupsPath?.endsWith("/sb1") && !spec.linux.cgroupsPath.split("/").includes(".."),
  );
}

async function checkContainer(
  config: ContainerConfig,
  pod: PodSandboxConfig,
  source: ByteSource,
): Promise<void> {
  const imageConfig = {
    user: source.pick(["", "app", "5:6", "app:staff"]),
    env: source.list(3, () => source.pick(["A=b", "PATH=/x", "B", "=c", "HOSTNAME=h"])),
    entrypoint: source.list(2, () => source.pick(["/e", "", "x"])),
    cmd: source.list(2, () => source.pick(["c", "d"])),
    workingDir: source.pick(["", "/w", "w"]),
  };
  const host = {
    ...plainHost,
    daemonOomScoreAdj: source.pick([0, -998]),
    canLowerOomScore: source.bool(),
    cgroupVersion: source.pick([1, 2] as const),
  };
  const handler = { ...defaultHandler, privilegedWithoutHostDevices: true };
  const input = { ...containerInput({ imageConfig, handler, host, rootfs }), config };
  let spec: OciSpec;
  try {
    validContainerConfig(config);
    ({ spec } = await buildContainerSpec(
      { ...input, sandbox: { ...input.sandbox, config: pod } },
      testServices,
    ));
  } catch (error) {
    return refused(error, ...codes);
  }
  checkWritten(spec);
  const security = config.linux?.securityContext ?? null;
  checkProcess(spec, config, imageConfig, pod);
  checkMounts(spec, config);
  checkLimits(spec, config, host);
  if (security?.runAsUser && security.runAsUsername === "") checkUser(spec, security, 0);
  const privileged = security?.privileged === true;
  if (privileged) assert.ok(pod.linux?.securityContext?.privileged);
  assert.deepEqual(spec.linux.maskedPaths, privileged ? [] : (security?.maskedPaths ?? []));
  assert.deepEqual(spec.linux.readonlyPaths, privileged ? [] : (security?.readonlyPaths ?? []));
  assert.equal(spec.root.readonly, security?.readonlyRootfs === true);
  const capabilities = spec.process.capabilities?.bounding ?? [];
  for (const name of security?.capabilities?.dropCapabilities ?? []) {
    const full = `CAP_${name.toUpperCase().replace(/^CAP_/, "")}`;
    if (!privileged && full !== "CAP_ALL") assert.ok(!capabilities.includes(full), name);
  }
  if (privileged) assert.deepEqual(capabilities, plainHost.capabilities);
  else if (security?.capabilities?.addCapabilities.length === 0)
    assert.ok(!capabilities.includes("CAP_SYS_ADMIN"));
  assert.equal(
    spec.linux.devices?.some(({ path: at }) => at === "/dev/x") ?? false,
    config.devices.some(({ containerPath }) => containerPath === "/dev/x"),
  );
}

/** It survives being written, and holds nothing that JSON has no number for. */
function checkWritten(spec: OciSpec): void {
  const written = parseExactJson(Buffer.from(encodeOciSpec(spec)).toString("utf8"));
  assert.deepEqual(
    written,
    parseExactJson(Buffer.from(encodeOciSpec(structuredClone(spec))).toString("utf8")),
  );
  (function walk(value: unknown): void {
    if (typeof value === "number") assert.ok(Number.isFinite(value));
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(walk);
  })(spec);
}

type Image = {
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
};

function checkProcess(
  { process }: OciSpec,
  config: ContainerConfig,
  image: Image,
  pod: PodSandboxConfig,
): void {
  const entrypoint =
    image.entrypoint.length === 1 && image.entrypoint[0] === "" ? [] : image.entrypoint;
  const command = config.command.length > 0 ? config.command : entrypoint;
  const args = config.command.length === 0 && config.args.length === 0 ? image.cmd : config.args;
  assert.deepEqual(process.args, [...command, ...args]);
  const fromImage = image.workingDir === "" ? "/" : path.posix.join("/", image.workingDir);
  assert.equal(process.cwd, config.workingDir === "" ? fromImage : config.workingDir);
  assert.equal(process.terminal, config.tty);
  assert.equal(process.noNewPrivileges, config.linux?.securityContext?.noNewPrivs === true);
  const isHost = pod.linux?.securityContext?.namespaceOptions?.network === "NODE";
  const wanted = new Map([["HOSTNAME", isHost || pod.hostname === "" ? "node-1" : pod.hostname]]);
  for (const entry of image.env) {
    const [name = "", ...value] = entry.split("=");
    if (name !== "") wanted.set(name, value.join("="));
  }
  for (const { key, value } of config.envs) wanted.set(key, Buffer.from(value).toString("utf8"));
  const env = new Map(
    process.env.map((entry) => [
      entry.slice(0, entry.indexOf("=")),
      entry.slice(entry.indexOf("=") + 1),
    ]),
  );
  assert.equal(env.size, process.env.length, "a variable twice");
  for (const [name, value] of wanted) assert.equal(env.get(name), value, name);
  for (const name of env.keys())
    assert.ok(wanted.has(name) || ["PATH", "TERM"].includes(name), name);
}

function checkMounts(spec: OciSpec, config: ContainerConfig): void {
  const places = spec.mounts.map(({ destination }) => destination);
  assert.equal(new Set(places).size, places.length, "two mounts at one place");
  for (const [index, mount] of config.mounts.entries()) {
    const destination = path.posix.resolve("/", mount.containerPath);
    const isLast =
      config.mounts.findLastIndex(
        ({ containerPath }) => path.posix.resolve("/", containerPath) === destination,
      ) === index;
    if (!isLast) continue;
    const made = spec.mounts.find((one) => one.destination === destination);
    assert.ok(made, destination);
    assert.equal(made.source, mount.hostPath);
    const access = mount.recursiveReadOnly ? "rro" : mount.readonly ? "ro" : "rw";
    assert.ok(made.options?.includes(access), `${destination} ${String(made.options)}`);
    assert.equal(
      made.options?.some((option) => ["rw", "ro", "rro"].includes(option) && option !== access),
      false,
    );
    if (mount.propagation === "PROPAGATION_PRIVATE") assert.ok(made.options?.includes("rprivate"));
  }
  const depth = (place: string): number => place.split("/").filter(Boolean).length;
  const own = places.slice(
    places.findIndex((place) =>
      config.mounts.some(({ containerPath }) => path.posix.resolve("/", containerPath) === place),
    ),
  );
  if (config.mounts.length > 0)
    assert.deepEqual(
      own,
      own.toSorted((a, b) => depth(a) - depth(b)),
      "parents first",
    );
}

function checkLimits(
  { process, linux }: OciSpec,
  config: ContainerConfig,
  host: { canLowerOomScore: boolean; daemonOomScoreAdj: number; cgroupVersion: number },
): void {
  const wanted = config.linux?.resources;
  if (!wanted) return;
  const { cpu, memory } = linux.resources;
  const given = (value: bigint): bigint | undefined => (value === 0n ? undefined : value);
  const made = (value: number | bigint | undefined): bigint | undefined =>
    value === undefined ? undefined : BigInt(value);
  assert.equal(made(cpu?.shares), given(wanted.cpuShares));
  assert.equal(made(cpu?.quota), given(wanted.cpuQuota));
  assert.equal(made(cpu?.period), given(wanted.cpuPeriod));
  assert.equal(cpu?.cpus ?? "", wanted.cpusetCpus);
  assert.equal(cpu?.mems ?? "", wanted.cpusetMems);
  assert.equal(made(memory?.limit), given(wanted.memoryLimitInBytes));
  assert.equal(
    made(memory?.swap),
    given(wanted.memorySwapLimitInBytes) ?? given(wanted.memoryLimitInBytes),
  );
  const score = Number(wanted.oomScoreAdj);
  assert.equal(
    process.oomScoreAdj,
    host.canLowerOomScore ? score : Math.max(score, host.daemonOomScoreAdj),
  );
  if (host.cgroupVersion === 2)
    for (const [file, value] of Object.entries(wanted.unified))
      assert.equal(linux.resources.unified?.[file], value);
  else assert.equal(linux.resources.unified, undefined);
}

type Security = {
  readonly runAsUser: { readonly value: bigint } | null;
  readonly runAsGroup: { readonly value: bigint } | null;
  readonly supplementalGroups: readonly bigint[];
};

function checkUser(
  { process: { user } }: OciSpec,
  security: Security | null,
  fallback: number,
): void {
  const wanted = security?.runAsUser;
  if (wanted) assert.equal(BigInt(user.uid), wanted.value);
  else if (fallback > 0) assert.equal(user.uid, fallback);
  if (security?.runAsGroup) assert.equal(BigInt(user.gid), security.runAsGroup.value);
  for (const group of security?.supplementalGroups ?? [])
    assert.ok(user.additionalGids?.includes(Number(group)), String(group));
}
