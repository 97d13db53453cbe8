// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { testRefusals } from "../../../../test/support/spec-input.ts";
import type { SecurityProfile } from "../../../gen/cri.gen.ts";
import { type AppArmorProfiles, apparmorProfile } from "./apparmor.ts";

const profile = (
  profileType: SecurityProfile["profileType"],
  localhostRef = "",
): SecurityProfile => ({ profileType, localhostRef, ociRef: "", baseProfile: null });
const profilesWith = (problem?: string, name = "the-default"): AppArmorProfiles => ({
  byDefault: {
    name,
    ensure: async () => problem,
    describe: () => ({ enabled: true, defaultProfile: name, problem: problem ?? "" }),
  },
  isLoaded: async (asked) => asked === "my profile",
});
const loaded = profilesWith();
const on = { apparmor: true };
const off = { apparmor: false };
const ask = (fields: Partial<Parameters<typeof apparmorProfile>[0]>) => ({
  profile: null,
  legacy: "",
  privileged: false,
  ...fields,
});

const rows = [
  { name: "nothing asked, no AppArmor", request: ask({}), host: off, out: undefined },
  {
    name: "unconfined, no AppArmor",
    request: ask({ profile: profile("Unconfined") }),
    host: off,
    out: undefined,
  },
  { name: "legacy unconfined", request: ask({ legacy: "unconfined" }), host: off, out: undefined },
  { name: "nothing asked", request: ask({}), host: on, out: "the-default" },
  {
    name: "runtime default",
    request: ask({ profile: profile("RuntimeDefault") }),
    host: on,
    out: "the-default",
  },
  {
    name: "privileged drops the default",
    request: ask({ legacy: "runtime/default", privileged: true }),
    host: on,
    out: undefined,
  },
  {
    name: "the base spec's for who asks for nothing",
    request: ask({ base: "site" }),
    host: on,
    out: "site",
  },
  {
    name: "the default over the base spec's",
    request: ask({ base: "site", legacy: "runtime/default" }),
    host: on,
    out: "the-default",
  },
  {
    name: "by name",
    request: ask({ profile: profile("Localhost", "my profile") }),
    host: on,
    out: "my profile",
  },
  {
    name: "by name with the old prefix",
    request: ask({ legacy: "localhost/my profile" }),
    host: on,
    out: "my profile",
  },
  {
    name: "by name for a privileged one",
    request: ask({ legacy: "localhost/my profile", privileged: true }),
    host: on,
    out: "my profile",
  },
  {
    name: "the new field wins",
    request: ask({ profile: profile("Unconfined"), legacy: "runtime/default" }),
    host: on,
    out: undefined,
  },
];

for (const { name, request, host, out } of rows) {
  test(`AppArmor: ${name}`, async () =>
    assert.equal(await apparmorProfile(request, host, loaded), out));
}

test("AppArmor refuses a profile that is not loaded", async () => {
  await assert.rejects(
    apparmorProfile(ask({ legacy: "localhost/none" }), on, loaded),
    /profile "none" is not loaded/,
  );
});

test("AppArmor's default, when it cannot be had, is refused to who asks for it only", async () => {
  const broken = profilesWith("no parser");
  for (const request of [
    ask({ legacy: "runtime/default" }),
    ask({ profile: profile("RuntimeDefault") }),
    ask({ profile: profile("Localhost", "the-default") }),
    ask({ profile: profile("Localhost", "the-default"), privileged: true }),
  ]) {
    await assert.rejects(apparmorProfile(request, on, broken), /apparmor: no parser/);
  }
  assert.equal(await apparmorProfile(ask({}), on, broken), undefined);
  const byName = ask({ profile: profile("Localhost", "the-default") });
  assert.equal(await apparmorProfile(byName, on, loaded), "the-default");
});

const refuse = (
  name: string,
  securityContext: object,
  message: RegExp,
  code: "FAILED_PRECONDITION" | "INVALID_ARGUMENT",
) => ({
  name,
  changes: { config: { linux: { securityContext } } },
  code,
  message,
});

testRefusals([
  refuse(
    "AppArmor's default without AppArmor",
    { apparmor: profile("RuntimeDefault") },
    /the kernel of this host has no AppArmor/,
    "FAILED_PRECONDITION",
  ),
  refuse(
    "an AppArmor profile without AppArmor",
    { apparmorProfile: "localhost/x" },
    /the kernel of this host has no AppArmor/,
    "FAILED_PRECONDITION",
  ),
  refuse(
    "an AppArmor profile without a name",
    { apparmor: profile("Localhost") },
    /localhost_ref: is empty/,
    "INVALID_ARGUMENT",
  ),
  refuse(
    "a profile of no known form",
    { apparmorProfile: "x" },
    /unknown profile "x"/,
    "INVALID_ARGUMENT",
  ),
]);
