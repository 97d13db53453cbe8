// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { codec, packAny } from "../../rpc/codec.ts";
import { ShimBinaries } from "./binary.ts";
import { createRuntimeInfoReader } from "./runtime-info.ts";

const call = { signal: new AbortController().signal };

/** A folder for PATH with these scripts in it. */
function programs(scripts: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth runtime info-"));
  for (const [name, text] of Object.entries(scripts)) {
    writeFileSync(path.join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(path.join(folder, name), 0o755);
  }
  return {
    folder,
    read: createRuntimeInfoReader(new ShimBinaries([folder])),
    [Symbol.dispose]: () => removeFolderSync(folder),
  };
}

test("a shim that can tells of itself, given the options", async () => {
  using bench = programs({
    "containerd-shim-runc-v2": `[ "$1" = -v ] && exit 0\ncat "$(dirname "$0")/answer"; cat >&2`,
  });
  const answer = codec("containerd.types.RuntimeInfo").encode({
    name: "r",
    annotations: { a: "b" },
  });
  writeFileSync(path.join(bench.folder, "answer"), answer);
  const info = await bench.read("io.containerd.runc.v2", null, call);
  assert.equal(info.name, "r");
  assert.deepEqual(info.annotations, { a: "b" });
});

test("for a runc shim that cannot, the OCI runtime of the options is asked", async () => {
  using bench = programs({
    "containerd-shim-runc-v2": `[ "$1" = -v ] && echo "  Version:  1.6.20" && exit 0\nexit 2`,
    "my runc": `[ "$1" = features ] && echo '{"ociVersionMin":"1.0.0"}'`,
  });
  const binaryName = path.join(bench.folder, "my runc");
  const options = packAny("containerd.runc.v1.Options", { binaryName });
  const info = await bench.read("io.containerd.runc.v2", options, call);
  assert.deepEqual(info.version, { version: "1.6" });
  assert.match(String(info.features?.type_url), /features\/Features$/);
  assert.deepEqual(JSON.parse(String(info.features?.value)), { ociVersionMin: "1.0.0" });
});

test("another shim that cannot is an error, and so is a runtime that is not there", async () => {
  using bench = programs({ "containerd-shim-other-v1": "exit 2" });
  await assert.rejects(bench.read("io.x.other.v1", null, call), { name: "ProcessFault" });
  await assert.rejects(bench.read("io.x.none.v1", null, call), { code: "NOT_FOUND" });
});
