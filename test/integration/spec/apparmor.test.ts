// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { before, test } from "node:test";
import { createProfileKernel } from "../../../src/cri/oci-spec/apparmor/profile-kernel.ts";
import { defaultProfileText } from "../../../src/cri/oci-spec/apparmor/profile-text.ts";
import { findProgram } from "../../support/lacking.ts";
import { run } from "../../support/run.ts";

const parser = findProgram("apparmor_parser");
const skip = parser === undefined ? "needs apparmor_parser" : false;
/** Where the package describes what kernels mediate; with these the rules are compiled on any kernel. */
const featureSets = "/etc/apparmor.d/abi";
let text = "";

before(async () => {
  if (skip) return;
  const signal = AbortSignal.timeout(60_000);
  const version = await createProfileKernel().parserVersion({ signal });
  assert.ok(version);
  text = defaultProfileText({ name: "berth-default", daemonLabel: "berthd", parser: version });
});

/** Compiles without loading and without a cache. */
async function compile(profile: string, ...args: readonly string[]) {
  return run(parser ?? "", ["-Q", "-K", ...args], { input: profile, timeoutMs: 60_000 });
}

test("apparmor_parser takes the default profile", { skip }, async () => {
  const { code, stderr } = await compile(text);
  assert.equal(code, 0, stderr);
});

test("apparmor_parser takes the default profile for every kernel it knows", { skip }, async () => {
  for (const name of await readdir(featureSets).catch(() => [])) {
    const file = path.join(featureSets, name);
    const { code, stderr } = await compile(
      text,
      "--policy-features",
      file,
      "--kernel-features",
      file,
    );
    assert.equal(code, 0, `${name}: ${stderr}`);
  }
});

test("apparmor_parser would have refused a bad rule", { skip }, async () => {
  const { code } = await compile(text.replace("deny mount,", "deny mounting,"));
  assert.notEqual(code, 0);
});
