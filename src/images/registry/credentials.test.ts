// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RegistryAuth } from "../ports.ts";
import { credentialsFor } from "./credentials.ts";

const password = { kind: "password", username: "me", password: "pw" };
const given = { username: "me", password: "pw" };

const cases: readonly (readonly [name: string, RegistryAuth | undefined, string, unknown])[] = [
  ["nothing", undefined, "quay.io", { kind: "anonymous" }],
  ["user and password", given, "quay.io", password],
  ["auth", { auth: "bWU6cHc=" }, "quay.io", password],
  ["identity token", { ...given, identityToken: "t" }, "quay.io", { kind: "identity", token: "t" }],
  ["registry token", { registryToken: "t" }, "quay.io", { kind: "registry", token: "t" }],
  ["own server", { ...given, serverAddress: "https://quay.io/v2/" }, "quay.io", password],
  ["other server", { ...given, serverAddress: "quay.io" }, "ghcr.io", { kind: "anonymous" }],
  ["other port", { ...given, serverAddress: "a:1" }, "a:2", { kind: "anonymous" }],
  [
    "Docker Hub's old name",
    { ...given, serverAddress: "https://index.docker.io/v1/" },
    "docker.io",
    password,
  ],
];

for (const [name, auth, domain, expected] of cases) {
  test(`credentialsFor reads ${name}`, () => {
    assert.deepEqual(credentialsFor(auth, domain), expected);
  });
}

test("credentialsFor refuses an auth without a colon", () => {
  assert.throws(() => credentialsFor({ auth: "bWU=" }, "quay.io"), { code: "INVALID_ARGUMENT" });
});
