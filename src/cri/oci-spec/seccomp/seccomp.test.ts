// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { plainHost, specOf, testRefusals } from "../../../../test/support/spec-input.ts";
import { defaultConfig } from "../../../config/defaults.ts";
import { defaultSeccompProfile } from "./default-profile.ts";
import { parseSeccompProfile } from "./profile-file.ts";

const seccomp = (
  profileType: "RuntimeDefault" | "Unconfined" | "Localhost",
  localhostRef = "",
) => ({
  config: { linux: { securityContext: { seccomp: { profileType, localhostRef } } } },
});
const legacy = (seccompProfilePath: string) => ({
  config: { linux: { securityContext: { seccompProfilePath } } },
});
const runtimeDefault = { ...defaultConfig.cri, unsetSeccompProfile: "runtime/default" };

const rows = [
  { name: "nothing asked", changes: {}, confined: false },
  { name: "nothing asked, a default configured", changes: { cri: runtimeDefault }, confined: true },
  { name: "RuntimeDefault", changes: seccomp("RuntimeDefault"), confined: true },
  {
    name: "Unconfined over the configured default",
    changes: { ...seccomp("Unconfined"), cri: runtimeDefault },
    confined: false,
  },
  { name: "the older field", changes: legacy("runtime/default"), confined: true },
  { name: "the older field, Docker's word", changes: legacy("docker/default"), confined: true },
  { name: "the older field, unconfined", changes: legacy("unconfined"), confined: false },
];

for (const { name, changes, confined } of rows) {
  test(`seccomp: ${name}`, async () => {
    assert.equal((await specOf(changes)).linux.seccomp !== undefined, confined);
  });
}

test("seccomp: a privileged container has no filter, whatever it asks", async () => {
  const securityContext = { privileged: true, seccomp: { profileType: "RuntimeDefault" as const } };
  const spec = await specOf({
    pod: { linux: { securityContext } },
    config: { linux: { securityContext } },
  });
  assert.equal(spec.linux.seccomp, undefined);
});

const names = (capabilities: readonly string[], architecture = "amd64"): Set<string> =>
  new Set(defaultSeccompProfile(capabilities, architecture).syscalls?.[0]?.names);

test("the default profile has the calls of every container, and those of its capabilities", () => {
  const plain = names([]);
  assert.equal(plain.size, 368);
  for (const name of [
    "mount",
    "bpf",
    "clone",
    "clone3",
    "socket",
    "personality",
    "io_uring_setup",
    "keyctl",
  ]) {
    assert.ok(!plain.has(name), name);
  }
  const admin = names(["CAP_SYS_ADMIN"]);
  for (const name of ["mount", "bpf", "clone", "clone3", "setns", "unshare"])
    assert.ok(admin.has(name), name);
  assert.ok(names(["CAP_SYS_CHROOT"]).has("chroot"));
  assert.ok(names(["CAP_SYS_TIME"]).has("clock_settime"));
});

test("the default profile fits the architecture", () => {
  assert.ok(names([]).has("arch_prctl") && !names([], "arm64").has("arch_prctl"));
  assert.ok(names([], "arm64").has("set_tls") && !names([]).has("set_tls"));
  assert.deepEqual(defaultSeccompProfile([], "arm64").architectures, [
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
  ]);
});

test("the default profile looks at arguments only where it can, and at clone's on its own place on s390", () => {
  const conditional = (capabilities: readonly string[], architecture: string) =>
    defaultSeccompProfile(capabilities, architecture).syscalls?.slice(1) ?? [];
  const clone = { index: 0, value: 0x7e020000, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" };
  const plain = conditional([], "amd64");
  assert.deepEqual(plain.find((rule) => rule.names[0] === "clone")?.args, [clone]);
  assert.deepEqual(
    plain.find((rule) => rule.names[0] === "clone3"),
    { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
  );
  assert.equal(
    conditional([], "s390x").find((rule) => rule.names[0] === "clone")?.args?.[0]?.index,
    1,
  );
  assert.deepEqual(
    [...new Set(conditional(["CAP_SYS_ADMIN"], "amd64").flatMap((rule) => rule.names))],
    ["personality", "socket"],
  );
});

const context = {
  capabilities: ["CAP_CHOWN"],
  architecture: "amd64",
  nativeArchitecture: "SCMP_ARCH_X86_64",
  kernelRelease: "6.1.0",
};

test("a profile file in Docker's form is reduced to what holds here", () => {
  const file = {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
    syscalls: [
      { names: ["read"], action: "SCMP_ACT_ALLOW", args: null, includes: {}, excludes: {} },
      { name: "chown", action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_CHOWN"] } },
      { names: ["mount"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_ADMIN"] } },
      { names: ["ptrace"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
      { names: ["future"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "7.0" } },
      { names: ["arm"], action: "SCMP_ACT_ALLOW", includes: { arches: ["arm64"] } },
      { names: ["not"], action: "SCMP_ACT_ALLOW", excludes: { caps: ["CAP_CHOWN"] } },
    ],
  };
  const profile = parseSeccompProfile(JSON.stringify(file), context);
  assert.deepEqual(
    profile.syscalls?.flatMap((rule) => rule.names),
    ["read", "chown", "ptrace"],
  );
  assert.deepEqual(profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
  assert.equal(profile.defaultErrnoRet, 1);
});

test("a profile file keeps 64-bit arguments exactly", () => {
  const text =
    '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}';
  assert.equal(
    parseSeccompProfile(text, context).syscalls?.[0]?.args?.[0]?.value,
    18446744073709551615n,
  );
});

test("a Localhost profile is read from its file, with the old prefix or without", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "profile.json");
  await writeFile(file, '{"defaultAction":"SCMP_ACT_LOG"}');
  for (const changes of [
    seccomp("Localhost", file),
    seccomp("Localhost", `localhost/${file}`),
    legacy(`localhost/${file}`),
  ]) {
    assert.equal((await specOf(changes)).linux.seccomp?.defaultAction, "SCMP_ACT_LOG");
  }
  await writeFile(file, '{"defaultAction":"ALLOW"}');
  await assert.rejects(
    specOf(seccomp("Localhost", file)),
    /localhost_ref: cannot use profile .*defaultAction/,
  );
});

const oci = (fields: object) => ({
  config: {
    linux: {
      securityContext: { seccomp: { profileType: "OCI" as const, ociRef: "r@d", ...fields } },
    },
  },
});
const allowed = (spec: Awaited<ReturnType<typeof specOf>>): string[] =>
  (spec.linux.seccomp?.syscalls ?? [])
    .filter(({ action }) => action === "SCMP_ACT_ALLOW")
    .flatMap(({ names }) => names);
/** Lets through what containers may anyhow, and what they may not. */
const pulled = async () =>
  Buffer.from(
    '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","mount"],"action":"SCMP_ACT_ALLOW"}]}',
  );

test("a pulled profile is in force together with its base", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "base.json");
  await writeFile(file, '{"defaultAction":"SCMP_ACT_ALLOW"}');
  const base = { type: "Localhost", localhostRef: file } as const;
  const bases = [
    [{}, ["read"]],
    [{ baseProfile: { type: "RuntimeDefault" as const, localhostRef: "" } }, ["read"]],
    [{ baseProfile: base }, ["read", "mount"]],
  ] as const;
  for (const [fields, names] of bases) {
    const spec = await specOf(oci(fields), { pulledProfile: pulled });
    assert.deepEqual(allowed(spec), names);
    assert.equal(spec.linux.seccomp?.defaultAction, "SCMP_ACT_ERRNO");
  }
});

const notify = '{"names":["read"],"action":"SCMP_ACT_NOTIFY"}';
const unusable = [
  ["is no JSON", "profile", /oci_ref: cannot use profile "r@d"/],
  [
    "is for another architecture",
    '{"defaultAction":"SCMP_ACT_LOG","architectures":["SCMP_ARCH_S390"]}',
    /for no arch/,
  ],
  [
    "names a listener",
    '{"defaultAction":"SCMP_ACT_LOG","listenerPath":"/run/x"}',
    /no socket of the node/,
  ],
  ["notifies", `{"defaultAction":"SCMP_ACT_LOG","syscalls":[${notify}]}`, /has no listener/],
] as const;
for (const [name, text, message] of unusable) {
  test(`a pulled profile that ${name} is refused`, async () => {
    await assert.rejects(specOf(oci({}), { pulledProfile: async () => Buffer.from(text) }), {
      code: "INVALID_ARGUMENT",
      message,
    });
  });
}

testRefusals([
  {
    name: "a profile that was not pulled",
    changes: oci({}),
    code: "NOT_FOUND",
    message: /no profile "r@d"/,
  },
  {
    name: "a profile of type OCI without a reference",
    changes: oci({ ociRef: "" }),
    code: "INVALID_ARGUMENT",
    message: /seccomp\.oci_ref: is required/,
  },
  {
    name: "a reference for a profile of another type",
    changes: oci({ profileType: "Localhost" }),
    code: "INVALID_ARGUMENT",
    message: /seccomp\.oci_ref: is only for/,
  },
  {
    name: "a base for a profile of another type",
    changes: {
      config: {
        linux: {
          securityContext: {
            seccomp: {
              profileType: "RuntimeDefault" as const,
              baseProfile: { type: "RuntimeDefault" as const },
            },
          },
        },
      },
    },
    code: "INVALID_ARGUMENT",
    message: /seccomp\.base_profile: is only for/,
  },
  {
    name: "a path for a base of another type",
    changes: oci({ baseProfile: { type: "RuntimeDefault", localhostRef: "/x" } }),
    code: "INVALID_ARGUMENT",
    message: /base_profile\.localhost_ref: is only for/,
  },
  {
    name: "a base file that is not there",
    changes: oci({ ociRef: "r@d", baseProfile: { type: "Localhost", localhostRef: "base.json" } }),
    code: "NOT_FOUND",
    message: /no profile/,
  },
  {
    name: "an AppArmor profile from an artifact",
    changes: {
      config: {
        linux: {
          securityContext: { apparmor: { profileType: "OCI" as const, ociRef: "r@d" } },
        },
      },
      host: { ...plainHost, apparmor: true },
    },
    code: "INVALID_ARGUMENT",
    message: /AppArmor profiles cannot come from OCI artifacts/,
  },
  {
    name: "a profile file that is not there",
    changes: seccomp("Localhost", "/none.json"),
    code: "INVALID_ARGUMENT",
    message: /cannot use profile "\/none\.json": ENOENT/,
  },
  {
    name: "a device for a profile",
    changes: seccomp("Localhost", "/dev/zero"),
    code: "INVALID_ARGUMENT",
    message: /cannot use profile "\/dev\/zero": "\/dev\/zero" is no regular file/,
  },
  {
    name: "an own profile without a name",
    changes: seccomp("Localhost", ""),
    code: "INVALID_ARGUMENT",
    message: /"" is not an absolute path/,
  },
  {
    name: "a relative profile",
    changes: seccomp("Localhost", "x.json"),
    code: "INVALID_ARGUMENT",
    message: /"x\.json" is not an absolute path/,
  },
  {
    name: "an unknown profile",
    changes: legacy("strict"),
    code: "INVALID_ARGUMENT",
    message: /seccomp_profile_path: unknown profile "strict"/,
  },
  {
    name: "a filter on a kernel without them",
    changes: { ...seccomp("RuntimeDefault"), host: { ...plainHost, seccomp: false } },
    code: "FAILED_PRECONDITION",
    message: /no seccomp filters/,
  },
]);
