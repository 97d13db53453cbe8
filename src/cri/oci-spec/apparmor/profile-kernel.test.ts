// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { createProfileKernel } from "./profile-kernel.ts";

const { signal } = new AbortController();

async function put(root: string, file: string, text: string, mode = 0o644): Promise<string> {
  const full = path.join(root, file);
  await mkdir(path.dirname(full), { recursive: true });
  await writeFile(full, text, { mode });
  return full;
}

test("loaded profiles are read by name, spaces and all", async () => {
  await using place = await scratch();
  await put(
    place.path,
    "sys/kernel/security/apparmor/profiles",
    "berth-default (enforce)\nmy profile (complain)\n/usr/bin/man (unconfined)\n",
  );
  const names = await createProfileKernel(place.path).loaded();
  for (const name of ["berth-default", "my profile", "/usr/bin/man"]) assert.ok(names.has(name));
});

test("a kernel that does not show its profiles is told so", async () => {
  await assert.rejects(createProfileKernel("/nonexistent").loaded(), {
    code: "FAILED_PRECONDITION",
    message: /cannot read .*\/apparmor\/profiles: ENOENT; is securityfs mounted\?/,
  });
});

for (const { name, files, label } of [
  { name: "no AppArmor", files: {}, label: "unconfined" },
  {
    name: "its own folder",
    files: { "apparmor/current": "a (enforce)\n", current: "b\n" },
    label: "a",
  },
  { name: "an older kernel", files: { current: "berthd (enforce)\n" }, label: "berthd" },
  { name: "an unconfined daemon", files: { current: "unconfined\n" }, label: "unconfined" },
  { name: "a stacked label", files: { current: "a//&b (enforce)\n" }, label: "unconfined" },
  {
    name: "a label that ends in a backslash",
    files: { current: "a\\ (enforce)\n" },
    label: "unconfined",
  },
  { name: "a label of blanks", files: { current: " \n" }, label: "unconfined" },
]) {
  test(`the daemon's label with ${name}`, async () => {
    await using place = await scratch();
    for (const [file, text] of Object.entries(files)) {
      await put(place.path, `proc/self/attr/${file}`, text);
    }
    assert.equal(await createProfileKernel(place.path).ownLabel(), label);
  });
}

test("the parser tells its version and takes the profile on its standard input", async () => {
  await using place = await scratch();
  const got = path.join(place.path, "got");
  const parser = await put(
    place.path,
    "parser",
    `#!/bin/sh\n[ "$1" = --version ] && { echo AppArmor parser version 4.1.2; exit; }\n{ echo "$@"; cat; } >'${got}'\n`,
    0o755,
  );
  const kernel = createProfileKernel(place.path, parser);
  assert.deepEqual(await kernel.parserVersion({ signal }), [4, 1]);
  await kernel.load("profile x {}\n", { signal });
  assert.equal(await readFile(got, "utf8"), "-Kr\nprofile x {}\n");
});

test("a missing parser is no version; one that refuses says why", async () => {
  await using place = await scratch();
  const missing = createProfileKernel(place.path, path.join(place.path, "none"));
  assert.equal(await missing.parserVersion({ signal }), undefined);
  const parser = await put(place.path, "parser", "#!/bin/sh\necho bad rule >&2\nexit 1\n", 0o755);
  const kernel = createProfileKernel(place.path, parser);
  await assert.rejects(kernel.load("x", { signal }), /exited with 1: bad rule/);
  await assert.rejects(kernel.parserVersion({ signal }), /exited with 1/);
});
