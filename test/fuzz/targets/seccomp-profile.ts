// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { defaultSeccompProfile } from "../../../src/cri/oci-spec/seccomp/default-profile.ts";
import { intersectProfiles } from "../../../src/cri/oci-spec/seccomp/intersect-profiles.ts";
import {
  type ProfileContext,
  parseSeccompProfile,
} from "../../../src/cri/oci-spec/seccomp/profile-file.ts";
import type { OciSeccomp } from "../../../src/oci/spec.ts";
import { ByteSource } from "../byte-source.ts";
import { present } from "../support/present.ts";
import type { FuzzTarget } from "../target.ts";

const context: ProfileContext = {
  capabilities: ["CAP_SYS_ADMIN", "CAP_CHOWN"],
  architecture: "amd64",
  nativeArchitecture: "SCMP_ARCH_X86_64",
  kernelRelease: "6.1.0-18-amd64",
};

/** A profile as a node keeps it for its pods, in the OCI form or Docker's; or the bytes from which one is made. */
export const target: FuzzTarget = {
  name: "seccomp-profile",
  parses: [
    "src/cri/oci-spec/seccomp/profile-file.ts",
    "src/cri/oci-spec/seccomp/conditions.ts",
    "src/cri/oci-spec/seccomp/intersect-profiles.ts",
    "src/oci/encode-spec.ts",
  ],
  dictionary: [
    '"defaultAction":"SCMP_ACT_ERRNO"',
    '"architectures":["SCMP_ARCH_X86_64"]',
    '"archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":null}]',
    '"names":["read"]',
    '"args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]',
    '"includes":{"caps":["CAP_SYS_ADMIN"]}',
    '"excludes":{"minKernel":"4.8"}',
    "null",
  ],
  *seeds() {
    const docker = {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 1,
      archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
      syscalls: [
        { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
        {
          name: "clone",
          action: "SCMP_ACT_ALLOW",
          args: [{ index: 0, value: 2114060288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
          excludes: { caps: ["CAP_SYS_ADMIN"] },
        },
        { names: ["ptrace"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
        { names: ["bpf"], action: "SCMP_ACT_TRACE", errnoRet: 38, includes: { arches: ["arm64"] } },
      ],
    };
    yield Buffer.from(`\0${JSON.stringify(docker)}`);
    yield Buffer.from(
      '\0{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["socket","personality"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":17,"op":"SCMP_CMP_EQ"}]}]}',
    );
    yield Buffer.from(
      '\0{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["x"],"action":"SCMP_ACT_LOG","args":[{"index":5,"value":18446744073709551615,"op":"SCMP_CMP_GE"}]}],"flags":["SECCOMP_FILTER_FLAG_LOG"]}',
    );
    yield Buffer.from(`\x01${"\x01\x03\x05\x07\x02".repeat(20)}`);
  },
  run(input) {
    if ((input[0] ?? 0) % 2 === 1) {
      checkMade(new ByteSource(input.subarray(1)));
      return;
    }
    let profile: OciSeccomp;
    try {
      profile = parseSeccompProfile(input.toString("utf8", 1), context);
    } catch (error) {
      assert.ok(error instanceof Error && error.constructor === Error);
      assert.ok(
        error.message.length > 0 && error.message.length < 600 && !error.message.includes("\n"),
      );
      return;
    }
    assert.match(profile.defaultAction, /^SCMP_ACT_/);
    for (const { action, args = [] } of profile.syscalls ?? []) {
      assert.match(action, /^SCMP_ACT_/);
      for (const { index, value, op } of args) {
        assert.ok(Number.isInteger(index) && index >= 0 && index < 6);
        assert.ok(value >= 0);
        assert.match(op, /^SCMP_CMP_/);
      }
    }
    checkTogether(profile);
  },
};

/** With the default profile it lets nothing through that this alone does not. */
function checkTogether(profile: OciSeccomp): void {
  let both: OciSeccomp;
  try {
    both = intersectProfiles(profile, base, context.nativeArchitecture);
  } catch (error) {
    assert.ok(error instanceof Error && error.constructor === Error, String(error));
    return;
  }
  assert.ok(denials.includes(both.defaultAction), both.defaultAction);
  for (const { names, action, args = [] } of both.syscalls ?? []) {
    assert.equal(new Set(args.map(({ index }) => index)).size, args.length);
    if (denials.includes(action)) continue;
    for (const name of names) {
      assert.ok(ofBase.has(name) && (args.length > 0 || ofBase.get(name) === "always"), name);
    }
  }
}

const base = defaultSeccompProfile(context.capabilities, context.architecture);
const denials = ["KILL_PROCESS", "KILL_THREAD", "KILL", "TRAP", "ERRNO"].map(
  (action) => `SCMP_ACT_${action}`,
);
const ofBase = new Map(
  (base.syscalls ?? [])
    .filter(({ action }) => action === "SCMP_ACT_ALLOW")
    .flatMap(({ names, args }) => names.map((name) => [name, args ? "sometimes" : "always"])),
);

/** What holds of a rule, by the words of Docker's documentation, decided here in another way. */
function checkMade(bytes: ByteSource): void {
  const caps = (): string[] =>
    bytes.list(2, () => bytes.pick(["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_BPF"]));
  const condition = (): { caps?: string[]; arches?: string[]; minKernel?: string } =>
    present({
      caps: bytes.maybe(caps),
      arches: bytes.maybe(() => bytes.list(2, () => bytes.pick(["amd64", "arm64"]))),
      minKernel: bytes.maybe(() => bytes.pick(["4.8", "6.1", "6.2", "7.0", "5.99"])),
    }) as { caps?: string[]; arches?: string[]; minKernel?: string };
  const rules = bytes.list(5, () => ({ includes: condition(), excludes: condition() }));
  const text = JSON.stringify({
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: rules.map((rule, at) => ({
      names: [`call${at}`],
      action: "SCMP_ACT_ALLOW",
      ...rule,
    })),
  });
  const isOurs = (cap: string): boolean => cap !== "CAP_BPF";
  const isOld = (kernel: string): boolean => ["4.8", "6.1", "5.99"].includes(kernel);
  const expected = rules.flatMap(({ includes, excludes }, at) => {
    const lacks =
      (includes.caps ?? []).some((cap) => !isOurs(cap)) ||
      ((includes.arches ?? ["amd64"]).length > 0 &&
        !(includes.arches ?? ["amd64"]).includes("amd64")) ||
      !isOld(includes.minKernel ?? "4.8");
    const isOut =
      (excludes.caps ?? []).some(isOurs) ||
      (excludes.arches ?? []).includes("amd64") ||
      isOld(excludes.minKernel ?? "7.0");
    return lacks || isOut ? [] : [`call${at}`];
  });
  const { syscalls = [] } = parseSeccompProfile(text, context);
  assert.deepEqual(
    syscalls.flatMap(({ names }) => names),
    expected,
  );
}
