// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Bundle } from "../bundle/bundle.ts";
import type { ShimBinary } from "./binary.ts";
import { HelperLauncher } from "./helper-launcher.ts";

const call = () => ({ signal: AbortSignal.timeout(60_000) });

let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "helper launcher-"));
});
after(() => rm(folder, { recursive: true, force: true }));

/** A shim that notes each start, and wants an input that tells its id: BootstrapParams. */
async function pickyShim(name: string, complaint: string): Promise<ShimBinary> {
  const file = path.join(folder, name);
  await writeFile(
    file,
    `#!/bin/sh
echo start >>"${file}.starts"
if grep -q the-pod; then echo unix:///run/shim.sock; exit 0; fi
echo '${complaint}' >&2
exit 1
`,
  );
  await chmod(file, 0o755);
  return { path: file, isRunc: false, version: undefined };
}

function launcher(): HelperLauncher {
  return new HelperLauncher({
    grpcAddress: "/run/b.sock",
    ttrpcAddress: "/run/b.sock.ttrpc",
  });
}

async function emptyBundle(): Promise<Bundle> {
  const bundle = new Bundle({ bundles: folder, work: folder, namespace: "k8s.io", id: "the-pod" });
  await mkdir(bundle.path, { recursive: true });
  return bundle;
}

test("a shim that wants BootstrapParams gets them, at once the next time", async () => {
  const binary = await pickyShim(
    "containerd-shim-other-v1",
    "io.other.v1: shim was started through the deprecated API but was built against the new API",
  );
  const request = { binary, bundle: await emptyBundle(), options: null, isDirect: false };
  const helper = launcher();
  for (const starts of [2, 3]) {
    const { address } = await helper.launch(request, call());
    assert.equal(address, "unix:///run/shim.sock");
    const noted = await readFile(`${binary.path}.starts`, "utf8");
    assert.equal(noted.trim().split("\n").length, starts);
  }
});

test("a shim that fails for another reason is started once", async () => {
  const binary = await pickyShim("containerd-shim-broken-v1", "no such kernel");
  const request = { binary, bundle: await emptyBundle(), options: null, isDirect: false };
  await assert.rejects(launcher().launch(request, call()), {
    code: "INTERNAL",
    message: /no such kernel/,
  });
  assert.equal(await readFile(`${binary.path}.starts`, "utf8"), "start\n");
});
