// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { codec, packAny } from "../../rpc/codec.ts";
import { readShimFeatures } from "./shim-info.ts";

const { signal } = new AbortController();
const featuresUrl = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

async function shim(folder: string, body: string): Promise<string> {
  const file = path.join(folder, "containerd-shim-test-v2");
  await writeFile(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return file;
}

async function answering(folder: string, typeUrl: string): Promise<string> {
  const features = { type_url: typeUrl, value: Buffer.from('{"ociVersionMin":"1.0.0"}') };
  const answer = path.join(folder, "answer");
  await writeFile(
    answer,
    codec("containerd.types.RuntimeInfo").encode({ name: "io.containerd.test.v2", features }),
  );
  return shim(folder, `[ "$*" = -info ] || exit 2\ncat >'${folder}/asked'\ncat '${answer}'`);
}

test("a shim is asked with its options and answers its runtime's features", async () => {
  await using place = await scratch();
  const file = await answering(place.path, featuresUrl);
  const options = packAny("runtimeoptions.v1.Options", { configPath: "/x.toml" });
  assert.equal(await readShimFeatures(file, options, { signal }), '{"ociVersionMin":"1.0.0"}');
  const asked = codec("google.protobuf.Any").decode(await readFile(path.join(place.path, "asked")));
  assert.equal(asked.type_url, "runtimeoptions.v1.Options");
  await readShimFeatures(file, null, { signal });
  assert.equal((await readFile(path.join(place.path, "asked"))).length, 0);
});

test("features of another kind are none", async () => {
  await using place = await scratch();
  const file = await answering(place.path, "types.example/other");
  assert.equal(await readShimFeatures(file, null, { signal }), undefined);
});

for (const { name, body } of [
  { name: "does not know the question", body: "echo flag provided but not defined >&2; exit 2" },
  { name: "answers words", body: "echo I am a shim" },
  { name: "answers nothing", body: "exit 0" },
]) {
  test(`a shim that ${name} tells no features`, async () => {
    await using place = await scratch();
    assert.equal(await readShimFeatures(await shim(place.path, body), null, { signal }), undefined);
  });
}

test("a shim that is not there tells no features; the daemon's end is passed on", async () => {
  assert.equal(await readShimFeatures("/nonexistent/shim", null, { signal }), undefined);
  await assert.rejects(
    readShimFeatures("/nonexistent/shim", null, { signal: AbortSignal.abort() }),
    { name: "AbortError" },
  );
});
