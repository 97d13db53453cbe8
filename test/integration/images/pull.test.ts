// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { isFault } from "../../../src/base/errors.ts";
import type { NameChange } from "../../../src/images/image-records.ts";
import { rootLabel } from "../../../src/metadata/references.ts";
import { ageIngest } from "../../support/age-ingest.ts";
import { lacking } from "../../support/lacking.ts";
import { writeOciLayout } from "../../support/oci-image.ts";
import { type Registry, startRegistry } from "../../support/registry.ts";
import { must } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";
import { writeZstdLayout } from "../../support/zstd-layout.ts";
import { namespace, openLibrary } from "./library.ts";

const skip = lacking("docker-registry", "skopeo");
const call = () => ({ signal: AbortSignal.timeout(240_000) });

let home: Scratch;
let registry: Registry;
let id: string;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "img" });
  registry = await startRegistry(await home.folder("registry"));
  const layout = await home.folder("layout");
  id = await writeOciLayout(layout, "one", {
    config: { Cmd: ["sh"], User: "1000:2000", Env: ["A=b"], StopSignal: "SIGUSR1" },
    layers: [
      [
        { path: "etc/", mode: 0o750, uid: 7 },
        { path: "etc/old", content: "old" },
        { path: "gone", content: "x" },
      ],
      [
        { path: "etc/new", content: "new" },
        { path: ".wh.gone", content: "" },
      ],
    ],
  });
  await push(layout, "one");
  const zstd = await home.folder("zstd layout");
  await writeZstdLayout(layout, zstd);
  await push(zstd, "zstd");
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await home?.[Symbol.asyncDispose]();
});

async function push(from: string, tag: string): Promise<void> {
  const source = `oci:${from}:one`;
  const target = `docker://${registry.host}/app:${tag}`;
  await must("skopeo", ["copy", "--quiet", "--dest-tls-verify=false", source, target]);
}

test("a pull makes the image, its layers and its names", { skip }, async () => {
  const { images, layer, snapshotter } = await openLibrary(await home.folder("pull"));
  const image = await images.pull(`${registry.host}/app:one`, call());
  assert.equal(image.id, id);
  assert.deepEqual(image.repoTags, [`${registry.host}/app:one`]);
  assert.equal(image.repoDigests.length, 1);
  assert.equal(image.config.user, "1000:2000");
  assert.equal(image.config.stopSignal, "SIGUSR1");
  assert.equal(images.find(`${registry.host}/app:one`), image);
  assert.equal(images.find(id.slice(7, 20)), image);
  assert.equal(images.find(image.repoDigests[0]!), image);

  const top = layer(image.chainId);
  assert.deepEqual((await readdir(top)).sort(), ["etc", "gone"]);
  assert.equal(await readFile(path.join(top, "etc/new"), "utf8"), "new");
  // The folder that the upper layer only implies looks as in the lower one.
  const etc = await stat(path.join(top, "etc"));
  assert.deepEqual([etc.uid, etc.mode & 0o777], [7, 0o750]);
  assert.ok((await stat(path.join(top, "gone"))).isCharacterDevice());
  assert.equal(snapshotter.stat(namespace, image.chainId).kind, "COMMITTED");
});

test("a pull names the image by its id too, and its names are CRI's; each change is told", {
  skip,
}, async () => {
  const told: string[] = [];
  const onNameChange = ({ kind, name, labels }: NameChange): void => {
    told.push(`${kind} ${name} ${Object.entries(labels).join()}`);
  };
  const { images } = await openLibrary(await home.folder("names"), { onNameChange });
  const name = `${registry.host}/app:one`;
  const { repoDigests } = await images.pull(name, call());
  const names = [name, repoDigests[0]!, id];
  const label = "io.cri-containerd.image";
  const [record] = images.records.list();
  await images.records.put({ ...record!, labels: { ...record!.labels, mine: "kept" } });
  for (const each of names) {
    const found = images.records.get(each);
    assert.equal(found?.labels[label], "managed", each);
    assert.equal(found.target.digest, record?.target.digest);
  }
  await images.pull(name, call());
  assert.equal(images.records.get(record!.name)?.labels["mine"], "kept");
  assert.equal(images.records.list().length, 3);
  assert.deepEqual([images.list().length, images.list()[0]?.repoTags], [1, [name]]);
  await images.remove(id, call());
  assert.deepEqual(images.records.list(), []);
  const kept = (each: string): string => (each === record?.name ? ",mine,kept" : "");
  assert.deepEqual(
    told.toSorted(),
    [
      ...names.map((each) => `create ${each} ${label},managed`),
      ...names.map((each) => `update ${each} ${label},managed${kept(each)}`),
      ...names.map((each) => `delete ${each} `),
    ].toSorted(),
  );
});

test("compression does not change what an image is", { skip }, async () => {
  const { images } = await openLibrary(await home.folder("zstd"));
  await images.pull(`${registry.host}/app:one`, call());
  const image = await images.pull(`${registry.host}/app:zstd`, call());
  assert.equal(image.id, id);
  assert.equal(image.repoTags.length, 2);
  assert.equal(image.repoDigests.length, 2);
  assert.equal(images.list().length, 1);
});

test("zstd layers alone make the image", { skip }, async () => {
  const { images, layer } = await openLibrary(await home.folder("zstd only"));
  const image = await images.pull(`${registry.host}/app:zstd`, call());
  assert.equal(await readFile(path.join(layer(image.chainId), "etc/new"), "utf8"), "new");
});

test("remove takes all names, blobs and layers", { skip }, async () => {
  const { images, content, snapshotter } = await openLibrary(await home.folder("remove"));
  await images.pull(`${registry.host}/app:one`, call());
  await images.pull(`${registry.host}/app:zstd`, call());
  await images.remove(`${registry.host}/app:one`, call());
  assert.deepEqual(images.list(), []);
  assert.deepEqual(content.list(namespace), []);
  assert.deepEqual(snapshotter.list(namespace), []);
  await images.remove(`${registry.host}/app:one`, call());
});

test("an image whose layers are in use goes when they are free", { skip }, async () => {
  const { images, snapshotter } = await openLibrary(await home.folder("in use"));
  const image = await images.pull(`${registry.host}/app:one`, call());
  const labels = { [rootLabel]: "true" };
  await snapshotter.prepare(namespace, "container", image.chainId, { labels, ...call() });
  await images.remove(image.id, call());
  assert.equal(images.find(image.id), undefined);
  assert.equal(snapshotter.list(namespace).length, 3);
  await snapshotter.remove(namespace, "container", call());
  images.released(image.chainId);
  await until("the layers are gone", () => snapshotter.list(namespace).length === 0);
});

test("images are there again after a restart", { skip }, async () => {
  const root = await home.folder("restart");
  const first = await openLibrary(root);
  const image = await first.images.pull(`${registry.host}/app:one`, call());
  const { images } = await openLibrary(root, { metadata: first.metadata });
  assert.deepEqual(images.list(), [image]);
});

test("what is not there is NOT_FOUND, what does not answer UNAVAILABLE", { skip }, async () => {
  const { images } = await openLibrary(await home.folder("errors"));
  const failing = (reference: string) => images.pull(reference, call());
  await assert.rejects(failing(`${registry.host}/app:none`), (error: unknown) => {
    assert.ok(isFault(error, "NOT_FOUND"));
    assert.match(error.message, new RegExp(`${registry.host}/app:none.*${registry.host}`));
    return true;
  });
  await assert.rejects(failing("127.0.0.1:1/app:one"), { code: "UNAVAILABLE" });
  await assert.rejects(failing("Not A Name"), { code: "INVALID_ARGUMENT" });
});

test("a mirror stands in for a registry, in the order of hosts.toml", { skip }, async () => {
  const configPath = await home.folder("hosts");
  await mkdir(path.join(configPath, "example.test"));
  await writeFile(
    path.join(configPath, "example.test", "hosts.toml"),
    `server = "http://127.0.0.1:1"
[host."http://127.0.0.1:1"]
capabilities = ["pull", "resolve"]
[host."http://${registry.host}"]
capabilities = ["pull", "resolve"]
`,
  );
  const { images } = await openLibrary(await home.folder("mirror"), { registry: { configPath } });
  const image = await images.pull("example.test/app:one", call());
  assert.deepEqual(image.repoTags, ["example.test/app:one"]);
});

test("removing an image drops the downloads that nobody has gone on with for an hour", {
  skip,
}, async () => {
  const root = await home.folder("idle");
  const { images, content } = await openLibrary(root);
  const ref = `layer-sha256:${"ab".repeat(32)}`;
  {
    await using writer = await content.writer(namespace, ref, {});
    await writer.write(Buffer.from("some"), call());
  }
  await images.remove("example.test/absent:1", call());
  assert.deepEqual(
    (await content.ingests(namespace)).map((ingest) => ingest.ref),
    [ref],
  );
  await ageIngest(path.join(root, "content"), 7200);
  await images.remove("example.test/absent:1", call());
  assert.deepEqual(await content.ingests(namespace), []);
});
