// SPDX-License-Identifier: Apache-2.0
// Images that want more than they are worth, from a registry, beside one that wants nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import v8 from "node:v8";
import vm from "node:vm";
import { gzipSync } from "node:zlib";
import { lacking } from "../../support/lacking.ts";
import { pushRawImage } from "../../support/push-raw-image.ts";
import { ordinaryConfig, type RawImage } from "../../support/raw-image.ts";
import { startRegistry } from "../../support/registry.ts";
import { scratch } from "../../support/scratch.ts";
import { type RawMember, tarBytes } from "../../support/tar-bytes.ts";
import { allRead, openLibrary } from "./library.ts";

const skip = lacking("docker-registry");
const call = () => ({ signal: AbortSignal.timeout(240_000) });
const mib = 1024 * 1024;
const plainLayer = { blob: tarBytes([{ name: "file", content: "x" }]) };

/** A config with a member that nobody asked for, of so many bytes. */
const configOf = (bytes: number) => (diffIds: readonly string[]) => {
  const objects = `${"{},".repeat(bytes / 3)}{}`;
  return `${ordinaryConfig(diffIds, { User: "7" }).slice(0, -1)},"extra":[${objects}]}`;
};

/** One folder after another that the second layer has no member for. */
function impliedFolders(tag: string, count: number): RawImage {
  const names = Array.from({ length: count }, (_, at) => `${tag}-${at}-${"x".repeat(30)}`);
  const folders: RawMember[] = names.map((name) => ({ name: `${name}/`, flag: "5" }));
  const files: RawMember[] = names.map((name) => ({ name: `${name}/file` }));
  const layers = [tarBytes(folders), tarBytes(files)];
  return { tag, layers: layers.map((plain) => ({ blob: gzipSync(plain, { level: 1 }), plain })) };
}

const hostile: readonly { image: RawImage; code?: string; says?: RegExp }[] = [
  { image: { tag: "large-config", layers: [plainLayer], config: configOf(7 * mib) } },
  {
    image: { tag: "huge-config", layers: [plainLayer], config: configOf(15 * mib) },
    code: "RESOURCE_EXHAUSTED",
    says: /more than 8388608/,
  },
  {
    image: {
      tag: "env",
      layers: [plainLayer],
      config: (ids) => ordinaryConfig(ids, { Env: [`A=${"x".repeat(6 * mib)}`] }),
    },
    code: "FAILED_PRECONDITION",
    says: /bytes of environment/,
  },
  { image: impliedFolders("implied-a", 4000) },
  { image: impliedFolders("implied-b", 4000) },
  { image: impliedFolders("implied-c", 4000) },
  {
    image: {
      tag: "endless-path",
      layers: [{ blob: tarBytes([{ name: "a", pax: { path: "d/".repeat(5000) } }]) }],
    },
    code: "INVALID_ARGUMENT",
    says: /too long/,
  },
];

test("hostile images are pulled or refused, beside others, and are no burden afterwards", {
  skip,
}, async () => {
  await using home = await scratch({ prefix: "hos", inMemory: true });
  await using registry = await startRegistry(await home.folder("registry"));
  const push = (image: RawImage) => pushRawImage(registry.host, "odd", image);
  for (const { image } of hostile) await push(image);
  await push({ tag: "good", layers: [plainLayer] });
  const root = await home.folder("images");
  const { images, metadata } = await openLibrary(root);
  const pull = (tag: string) => images.pull(`${registry.host}/odd:${tag}`, call());
  const before = heapUsed();
  const pulls = hostile.map(async ({ image, code, says }) => {
    if (code === undefined) await pull(image.tag);
    else await assert.rejects(pull(image.tag), { code, message: says ?? /./ });
  });
  const good = pull("good");
  await Promise.all(pulls);
  assert.equal((await good).layers, 1);
  const names = images.list().flatMap(({ repoTags }) => repoTags);
  assert.deepEqual(
    new Set(names.map((name) => name.split(":").at(-1))),
    new Set(["large-config", "implied-a", "implied-b", "implied-c", "good"]),
  );
  const large = images.find(`${registry.host}/odd:large-config`);
  assert.ok(large);
  assert.equal(large.config.user, "7");
  const document = await images.inspect(large, call());
  assert.ok((document?.length ?? 0) > 7 * mib);
  assert.ok(heapUsed() - before < 30 * mib, "something is kept of what was read");

  const again = await openLibrary(root, { metadata });
  assert.deepEqual(await allRead(again.images, images.list().length), images.list());
  assert.ok(heapUsed() - before < 30 * mib, "something is kept of what was read");
});

/** What is left after a collection. */
function heapUsed(): number {
  v8.setFlagsFromString("--expose-gc");
  (vm.runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
