// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { defaultHandler } from "../../config/defaults.ts";
import { codec } from "../../rpc/codec.ts";
import { ShimBinaries } from "../../runtime/shim/binary.ts";
import { readShimFeatures } from "../../runtime/shim/shim-info.ts";
import { askHandlerFeatures } from "./handler-features.ts";
import type { ShimPrograms } from "./shim-programs.ts";

const { signal } = new AbortController();

/** A shim that answers `-info` with these features. */
async function shimWith(folder: string, name: string, json: string): Promise<string> {
  const value = Buffer.from(json);
  const type_url = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";
  const answer = path.join(folder, `${name}.answer`);
  await writeFile(
    answer,
    codec("containerd.types.RuntimeInfo").encode({ features: { type_url, value } }),
  );
  const file = path.join(folder, `containerd-shim-${name}-v2`);
  await writeFile(file, `#!/bin/sh\n[ "$1" = -info ] && exec cat '${answer}'\nexit 1\n`, {
    mode: 0o755,
  });
  return file;
}

test("features are asked of runc shims' OCI runtime, and of other shims themselves", async () => {
  await using place = await scratch();
  const json = JSON.stringify({ mountOptions: ["rro"] });
  const runc = path.join(place.path, "runc");
  await writeFile(runc, `#!/bin/sh\n[ "$1" = features ] && echo '${json}'\n`, { mode: 0o755 });
  const other = { ...defaultHandler, type: "io.containerd.other.v2" };
  const handlers = {
    runc: { ...defaultHandler, binaryName: runc },
    other: { ...other, shim: await shimWith(place.path, "other", json) },
    broken: { ...other, shim: await shimWith(place.path, "broken", "{") },
    missing: other,
    strayBinary: { ...other, binaryName: runc },
  };
  const shims: ShimPrograms = {
    find: (type, shim) => new ShimBinaries().resolve(type, shim),
    features: readShimFeatures,
  };
  const features = askHandlerFeatures(
    { defaultHandler: "runc", handlers },
    { shims, kernelRelease: "6.1.0" },
    { signal },
  );
  const readOnly = () =>
    Object.keys({ ...handlers, unknown: 0 }).filter(
      (name) => features.of(name).recursiveReadOnlyMounts,
    );
  assert.deepEqual(readOnly(), [], "the start does not wait for programs");
  await features.asked;
  assert.deepEqual(readOnly(), ["runc", "other"]);
});
