// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { memoryRootfs } from "../../../../test/support/spec-input.ts";
import { boundingCapabilities } from "../../../oci/capabilities.ts";
import type { OciSpec } from "../../../oci/spec.ts";
import { runSpec, type SpecFlags } from "./run-spec.ts";

const image = {
  user: "worker",
  env: ["PATH=/bin", "A=1"],
  entrypoint: ["/entry"],
  cmd: ["serve"],
  workingDir: "/work",
  volumes: [],
  stopSignal: "",
  labels: {},
};
const rootfs = memoryRootfs({
  "/etc/passwd": "root:x:0:0::/:/bin/sh\nworker:x:1000:2000::/home:/bin/sh\n",
  "/etc/group": "workers:x:2000:\nextra:x:3000:worker\n",
});
const plain: SpecFlags = {
  tty: false,
  env: [],
  netHost: false,
  mount: [],
  readOnly: false,
  privileged: false,
};

function build(
  flags: Partial<SpecFlags> = {},
  args: readonly string[] = [],
  change: Partial<typeof image> = {},
): Promise<OciSpec> {
  return runSpec({
    id: "web",
    namespace: "dev",
    image: { ...image, ...change },
    args,
    flags: { ...plain, ...flags },
    rootfs,
    signal: new AbortController().signal,
    consoleSize: { height: 24, width: 80 },
  });
}

test("runSpec takes what the image says", async () => {
  const { process, hostname, linux, root } = await build();
  assert.deepEqual(process.args, ["/entry", "serve"]);
  assert.deepEqual(process.env, ["PATH=/bin", "A=1"]);
  assert.equal(process.cwd, "/work");
  assert.deepEqual(process.user, { uid: 1000, gid: 2000, additionalGids: [2000, 3000] });
  assert.equal(process.terminal, false);
  assert.equal(process.consoleSize, undefined);
  assert.equal(hostname, "web");
  assert.equal(linux.cgroupsPath, "/dev/web");
  assert.deepEqual(root, { path: "rootfs", readonly: false });
  assert.deepEqual(
    linux.namespaces.map(({ type }) => type),
    ["pid", "ipc", "uts", "mount", "network"],
  );
  for (const masked of ["/proc/kcore", "/sys/devices/virtual/powercap"]) {
    assert.ok(linux.maskedPaths?.includes(masked), masked);
  }
});

test("runSpec lets flags win over the image", async () => {
  const flags = {
    tty: true,
    env: ["A=2", "B=3"],
    cwd: "/",
    user: "7:8",
    hostname: "h",
    netHost: true,
    memory: "64MiB",
    readOnly: true,
    mount: ["/srv:/data:ro", "type=tmpfs,dst=/tmp", "src=/a,dst=/b,ro"],
  };
  const { process, hostname, linux, root, mounts } = await build(flags, ["once"]);
  assert.deepEqual(process.args, ["/entry", "once"]);
  assert.deepEqual(process.env, ["PATH=/bin", "A=2", "TERM=xterm", "B=3"]);
  assert.deepEqual(process.user, { uid: 7, gid: 8, additionalGids: [8] });
  assert.deepEqual(process.consoleSize, { height: 24, width: 80 });
  assert.equal(hostname, "h");
  assert.equal(root.readonly, true);
  assert.deepEqual(linux.resources.memory, { limit: 64 * 1024 * 1024 });
  assert.ok(!linux.namespaces.some(({ type }) => type === "network"));
  const own = mounts.filter(({ destination }) => ["/data", "/tmp", "/b"].includes(destination));
  assert.deepEqual(own, [
    { type: "bind", source: "/srv", destination: "/data", options: ["rbind", "ro"] },
    { type: "tmpfs", source: "tmpfs", destination: "/tmp", options: ["rw"] },
    { type: "bind", source: "/a", destination: "/b", options: ["rbind", "ro"] },
  ]);
  assert.ok(mounts.some(({ destination }) => destination === "/etc/resolv.conf"));
});

test("runSpec opens a privileged container up", async () => {
  const { process, linux, mounts } = await build({ privileged: true });
  const status = readFileSync("/proc/self/status", "utf8");
  const lastCap = readFileSync("/proc/sys/kernel/cap_last_cap", "utf8");
  assert.deepEqual(process.capabilities?.bounding, boundingCapabilities(status, lastCap));
  assert.deepEqual(linux.resources.devices, [{ allow: true, access: "rwm" }]);
  assert.equal(linux.maskedPaths, undefined);
  assert.ok(!mounts.find(({ destination }) => destination === "/sys")?.options?.includes("ro"));
});

const wrong: readonly { name: string; flags: Partial<SpecFlags>; says: RegExp }[] = [
  { name: "a variable", flags: { env: ["A"] }, says: /bad --env "A": expected name=value/ },
  { name: "a size", flags: { memory: "much" }, says: /bad --memory "much"/ },
  { name: "a user", flags: { user: "nobody" }, says: /no user "nobody" in the image/ },
  { name: "a relative mount", flags: { mount: ["a:/b"] }, says: /bad --mount "a:\/b": expected/ },
  { name: "a mount's access", flags: { mount: ["/a:/b:x"] }, says: /must be "ro" or "rw"/ },
  {
    name: "a mount without target",
    flags: { mount: ["src=/a"] },
    says: /dst= must be absolute|dst= must be an/,
  },
];
for (const { name, flags, says } of wrong) {
  test(`runSpec refuses ${name} that is none`, async () => {
    await assert.rejects(build(flags), { code: "INVALID_ARGUMENT", message: says });
  });
}

test("runSpec needs a command from somewhere", async () => {
  await assert.rejects(build({}, [], { entrypoint: [], cmd: [] }), /needs a command/);
});
