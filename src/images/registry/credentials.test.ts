// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RegistryAuth } from "../ports.ts";
import { credentialsFor, readCredentials } from "./credentials.ts";

const password = { kind: "password", username: "me", password: "pw" };
const given = { username: "me", password: "pw" };

const contents: readonly (readonly [name: string, RegistryAuth, unknown])[] = [
  ["nothing", {}, { kind: "anonymous" }],
  ["user and password", given, password],
  ["auth", { auth: "bWU6cHc=" }, password],
  [
    "identity token",
    { ...given, identityToken: "t" },
    { kind: "identity", username: "me", token: "t" },
  ],
  ["registry token", { registryToken: "t" }, { kind: "registry", token: "t" }],
];

for (const [name, auth, expected] of contents) {
  test(`readCredentials reads ${name}`, () => assert.deepEqual(readCredentials(auth), expected));
}

test("readCredentials refuses an auth without a colon", () => {
  assert.throws(() => readCredentials({ auth: "bWU=" }), { code: "INVALID_ARGUMENT" });
});

type Host = "the origin" | "a mirror";
const audience: readonly (readonly [
  serverAddress: string,
  domain: string,
  base: string,
  host: Host,
  isGiven: boolean,
])[] = [
  ["", "quay.io", "https://quay.io/v2", "the origin", true],
  ["", "quay.io", "https://elsewhere.test/v2", "the origin", true],
  ["", "quay.io", "https://elsewhere.test/v2", "a mirror", false],
  ["", "quay.io", "https://quay.io:8443/v2", "a mirror", false],
  ["", "quay.io", "https://quay.io.evil.test/v2", "a mirror", false],
  ["", "docker.io", "https://registry-1.docker.io/v2", "the origin", true],
  ["", "a.test:443", "https://a.test/v2", "a mirror", true],
  ["https://quay.io/v2/", "quay.io", "https://quay.io/v2", "the origin", true],
  [
    "https://index.docker.io/v1/",
    "docker.io",
    "https://registry-1.docker.io/v2",
    "the origin",
    true,
  ],
  ["quay.io", "ghcr.io", "https://ghcr.io/v2", "the origin", false],
  ["a:1", "a:2", "https://a:2/v2", "the origin", false],
  ["mirror.test", "quay.io", "https://mirror.test/v2", "a mirror", true],
  ["mirror.test", "quay.io", "https://quay.io/v2", "the origin", false],
  ["not an address", "quay.io", "https://quay.io/v2", "the origin", false],
];

for (const [serverAddress, domain, base, host, isGiven] of audience) {
  const named = serverAddress === "" ? "nobody" : serverAddress;
  const verb = isGiven ? "are given" : "are not given";
  test(`credentials for ${domain} that name ${named} ${verb} to ${host} ${base}`, () => {
    const auth = { ...given, serverAddress };
    const found = credentialsFor(auth, domain, { base, isOrigin: host === "the origin" });
    assert.deepEqual(found, isGiven ? password : { kind: "anonymous" });
  });
}

test("an auth of NULs that do not end it is read in no time", () => {
  const secret = `${"\0".repeat(400_000)}x`;
  const auth = Buffer.from(`me:${secret}\0\0`).toString("base64");
  assert.deepEqual(readCredentials({ auth }), { ...password, password: secret });
});

test("an address of slashes is read in no time", () => {
  const auth = { ...given, serverAddress: `registry.test${"/".repeat(400_000)}\n` };
  const host = { base: "https://registry.test/v2", isOrigin: true };
  assert.deepEqual(credentialsFor(auth, "registry.test", host), password);
});
