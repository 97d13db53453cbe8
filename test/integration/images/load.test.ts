// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { digestOf } from "../../../src/content/digest.ts";
import type { TransferStep } from "../../../src/images/ports.ts";
import { lacking } from "../../support/lacking.ts";
import { writeOciLayout } from "../../support/oci-image.ts";
import { must } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { tarBytes } from "../../support/tar-bytes.ts";
import { allRead, namespace, openLibrary } from "./library.ts";

const skip = lacking("skopeo");
const call = () => ({ signal: AbortSignal.timeout(240_000) });

let home: Scratch;
let layout: string;
let id: string;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "load" });
  layout = await home.folder("layout");
  id = await writeOciLayout(layout, "1.0", {
    config: { Cmd: ["sh"] },
    layers: [[{ path: "hello", content: "hello" }], [{ path: "deep/er", content: "er" }]],
  });
});

after(async () => home?.[Symbol.asyncDispose]());

const tarOf = async (name: string): Promise<string> => {
  const file = path.join(home.path, name);
  await must("tar", ["-C", layout, "-cf", file, "."]);
  return file;
};

test("an OCI layout is loaded from a folder, a tar, and a gzipped tar", { skip }, async () => {
  const tar = await tarOf("layout.tar");
  const gz = `${tar}.gz`;
  await writeFile(gz, gzipSync(await readFile(tar)));
  for (const from of [layout, tar, gz]) {
    const { images, layer } = await openLibrary(await home.folder(`of ${path.basename(from)}`));
    const [image] = await images.load(from, { name: "local/app:2", ...call() });
    assert.equal(image?.id, id);
    assert.deepEqual(image?.repoTags, ["docker.io/local/app:2"]);
    assert.equal(images.find("local/app:2"), image);
    const hello = path.join(layer(image?.chainId ?? "", 1), "hello");
    assert.equal(await readFile(hello, "utf8"), "hello");
  }
});

test("an image without a name is found by its id", { skip }, async () => {
  const { images } = await openLibrary(await home.folder("unnamed"));
  const [image] = await images.load(layout, call());
  assert.deepEqual([image?.id, image?.repoTags, image?.repoDigests], [id, [], []]);
  assert.equal(images.find(id), image);
  await images.remove(id, call());
  assert.deepEqual(images.list(), []);
});

test("the layout's own name counts when none is given", { skip }, async () => {
  const folder = await home.folder("named");
  await writeOciLayout(folder, "quay.io/some/app:3", {
    config: {},
    layers: [[{ path: "x", content: "x" }]],
  });
  const { images } = await openLibrary(await home.folder("own name"));
  const [image] = await images.load(folder, call());
  assert.deepEqual(image?.repoTags, ["quay.io/some/app:3"]);
});

const dockerArchive = async (name: string): Promise<string> => {
  const archive = path.join(home.path, `${name}.tar`);
  await must("skopeo", [
    "copy",
    "--quiet",
    "--additional-tag=example.test/saved:also",
    `oci:${layout}:1.0`,
    `docker-archive:${archive}:example.test/saved:1`,
  ]);
  return archive;
};

test("what docker save writes is loaded with its tags", { skip }, async () => {
  const archive = await dockerArchive("save");
  const { images, content, snapshotter } = await openLibrary(await home.folder("saved"));
  const [image] = await images.load(archive, call());
  assert.deepEqual(image?.repoTags, ["example.test/saved:1", "example.test/saved:also"]);
  assert.equal(image?.layers, 2);
  await images.remove("example.test/saved:also", call());
  assert.deepEqual([content.list(namespace), snapshotter.list(namespace)], [[], []]);
});

test("how far a load is, is told of each layer by its digest", { skip }, async () => {
  const tar = await tarOf("told.tar");
  const gz = `${tar}.gz`;
  await writeFile(gz, gzipSync(await readFile(tar)));
  for (const from of [layout, tar, gz, await dockerArchive("told saved")]) {
    const library = await openLibrary(await home.folder(`told ${path.basename(from)}`));
    const told = new Map<string, TransferStep[]>();
    const onStep = (step: TransferStep): void =>
      void told.set(step.digest, [...(told.get(step.digest) ?? []), step]);
    await library.images.load(from, { onStep, ...call() });
    assert.equal(told.size, 2, from);
    for (const steps of told.values()) {
      const states = new Set(steps.map(({ state }) => state));
      assert.ok(states.has("loading"), `${from}: ${[...states].join()}`);
      const last = steps.at(-1);
      assert.deepEqual([last?.state, last?.doneBytes], ["done", last?.totalBytes], from);
      assert.ok(steps.every(({ doneBytes, totalBytes }) => doneBytes <= totalBytes));
    }
  }
});

for (const [from, pack] of [
  ["a layout", async () => layout],
  ["what docker save writes", dockerArchive],
] as const) {
  test(`a collection goes on beside a load of ${from}, and leaves what that needs`, {
    skip,
  }, async () => {
    const archive = await pack("beside");
    const { images, content, layer } = await openLibrary(await home.folder(`beside ${from}`));
    const write = content.writer.bind(content);
    const [{ promise: reached, resolve: reach }, { promise: gate, resolve: open }] = [
      Promise.withResolvers<void>(),
      Promise.withResolvers<void>(),
    ];
    let layers = 0;
    Object.assign(content, {
      writer: async (...given: Parameters<typeof write>) => {
        if (given[1].startsWith("import-")) layers += 1;
        if (layers === 2) {
          reach();
          await gate;
        }
        return write(...given);
      },
    });
    const loading = images.load(archive, { name: "beside:1", ...call() });
    await reached;
    assert.equal(await images.collectGarbage(call()), true);
    open();
    const [image] = await loading;
    assert.equal(
      await readFile(path.join(layer(image?.chainId ?? "", 1), "hello"), "utf8"),
      "hello",
    );
    assert.equal(await images.collectGarbage(call()), true);
    await images.remove("beside:1", call());
    assert.deepEqual(content.list(namespace), []);
  });
}

test("an archive that is none is refused", { skip }, async () => {
  const { images, content } = await openLibrary(await home.folder("refused"));
  const nothing = path.join(home.path, "nothing.tar");
  await must("tar", ["-C", layout, "-cf", nothing, "oci-layout"]);
  await assert.rejects(images.load(nothing, call()), {
    code: "INVALID_ARGUMENT",
    message: `cannot load "${nothing}": archive has neither index.json nor manifest.json`,
  });
  await writeFile(nothing, "not a tar at all ".repeat(100));
  await assert.rejects(images.load(nothing, call()), { code: "INVALID_ARGUMENT" });
  await assert.rejects(images.load("/no/such/file", call()), { code: "NOT_FOUND" });
  assert.deepEqual(await content.ingests(namespace), []);
});

test("a built-in image is pinned, and stays", { skip }, async () => {
  const builtin = [{ name: "berth.local/pause:1", id: digestOf("pause") }];
  const { images } = await openLibrary(await home.folder("builtin"), { builtin });
  const [image] = images.list();
  assert.equal(image?.pinned, true);
  assert.equal(images.find("berth.local/pause:1"), image);
  assert.equal(images.find(digestOf("pause")), image);
  assert.equal(await images.pull("berth.local/pause:1", call()), image);
  await assert.rejects(images.remove("berth.local/pause:1", call()), {
    code: "FAILED_PRECONDITION",
    message: /built in/,
  });
});

test("start-up drops what a crash left of imports and extractions", { skip }, async () => {
  const root = await home.folder("crash");
  const first = await openLibrary(root);
  const { content, snapshotter } = first;
  const [image] = await first.images.load(layout, call());
  const owned = { "io.berth.image": "true" };
  await snapshotter.prepare(namespace, "extract-1 x", "", { labels: owned, ...call() });
  await snapshotter.prepare(namespace, "extract-2 of a user", "", call());
  for (const ref of ["import-1", "layer-1"]) {
    await using writer = await content.writer(namespace, ref, {});
    await writer.write(Buffer.from("half"), call());
  }
  const again = await openLibrary(root, { metadata: first.metadata });
  assert.deepEqual(await allRead(again.images, 1), [image]);
  const ingests = await again.content.ingests(namespace);
  assert.deepEqual(
    ingests.map(({ ref }) => ref),
    ["layer-1"],
  );
  assert.equal(again.snapshotter.list(namespace).length, 3);
});

test("an image whose layers are gone is unpacked from its blobs, or left out without them", {
  skip,
}, async () => {
  const root = await home.folder("gone");
  const first = await openLibrary(root);
  const [image] = await first.images.load(layout, { name: "app", ...call() });
  assert.ok(image);
  await first.snapshotter.remove(namespace, image.chainId, call());
  const { metadata } = first;
  const again = await openLibrary(root, { metadata });
  assert.deepEqual(await allRead(again.images, 1), [image]);
  await again.images.unpack(image, call());
  assert.ok(again.layer(image.chainId) !== "");

  await again.snapshotter.remove(namespace, image.chainId, call());
  for (const { digest } of again.content.list(namespace)) {
    const isLayer = (await again.content.read(digest, call()))[0] === 0x1f;
    if (isLayer) await again.content.delete(namespace, digest);
  }
  const bare = await openLibrary(root, { metadata });
  assert.deepEqual(bare.images.list(), []);
  assert.deepEqual(await bare.images.load(layout, { name: "app", ...call() }), [image]);
});

test("images that share layers are loaded side by side", { skip }, async () => {
  const { images, snapshotter } = await openLibrary(await home.folder("side by side"));
  const names = ["a", "b", "c", "d"];
  const loads = names.map((name) => images.load(layout, { name, ...call() }));
  await Promise.all(loads);
  assert.equal(images.list().length, 1);
  assert.equal(images.list()[0]?.repoTags.length, 4);
  assert.equal(snapshotter.list(namespace).length, 2);
});

const odd: readonly {
  name: string;
  make: (folder: string) => Promise<string>;
  code: string;
  says: RegExp;
}[] = [
  {
    name: "a FIFO",
    make: async (folder) => {
      await must("mkfifo", [path.join(folder, "fifo")]);
      return path.join(folder, "fifo");
    },
    code: "INVALID_ARGUMENT",
    says: /neither a file nor a folder/,
  },
  {
    name: "a layout whose index is a FIFO",
    make: async (folder) => {
      await must("mkfifo", [path.join(folder, "index.json")]);
      return folder;
    },
    code: "INVALID_ARGUMENT",
    says: /neither index\.json nor manifest\.json/,
  },
  {
    name: "a saved image whose layer is a file of the host",
    make: async (folder) => {
      const manifest = [{ Config: "config", Layers: ["layer"] }];
      await writeFile(path.join(folder, "manifest.json"), JSON.stringify(manifest));
      await writeFile(path.join(folder, "config"), "{}");
      const outside = `${folder}-outside.tar`;
      await must("tar", ["-C", layout, "-cf", outside, "."]);
      await symlink(outside, path.join(folder, "layer"));
      return folder;
    },
    code: "NOT_FOUND",
    says: /archive has no "layer"/,
  },
  {
    name: "a layout with an image of a bad name",
    make: async (folder) => {
      const index = JSON.parse(await readFile(path.join(layout, "index.json"), "utf8"));
      index.manifests[0].annotations = { "io.containerd.image.name": "example.test/Bad//name" };
      await writeFile(path.join(folder, "index.json"), JSON.stringify(index));
      return folder;
    },
    code: "INVALID_ARGUMENT",
    says: /archive has an image of a bad name: /,
  },
  {
    name: "an index of nine MiB",
    make: async (folder) => {
      await writeFile(path.join(folder, "index.json"), " ".repeat(9 * 1024 * 1024));
      return folder;
    },
    code: "RESOURCE_EXHAUSTED",
    says: /"index\.json" of the archive has 9437184 bytes, more than 8388608/,
  },
  {
    name: "a tar of a hundred thousand files",
    make: async (folder) => {
      const file = path.join(folder, "many.tar.gz");
      const members = Array.from({ length: 50_001 }, (_, at) => ({ name: `f${at}` }));
      await writeFile(file, gzipSync(tarBytes(members), { level: 1 }));
      return file;
    },
    code: "RESOURCE_EXHAUSTED",
    says: /more than 50000 files/,
  },
  {
    name: "a tar of long names",
    make: async (folder) => {
      const file = path.join(folder, "long.tar.gz");
      const members = Array.from({ length: 2100 }, (_, at) => {
        const name = `f${at}`;
        return { name, pax: { path: `${"x".repeat(4000 - name.length)}${name}` } };
      });
      await writeFile(file, gzipSync(tarBytes(members), { level: 1 }));
      return file;
    },
    code: "RESOURCE_EXHAUSTED",
    says: /archive has names of more than 8000000 bytes/,
  },
  {
    name: "half a gzip",
    make: async (folder) => {
      const file = path.join(folder, "half.tar.gz");
      await writeFile(
        file,
        gzipSync(tarBytes([{ name: "x", content: randomBytes(10_000) }])).subarray(0, 5000),
      );
      return file;
    },
    code: "INVALID_ARGUMENT",
    says: /end of file/,
  },
];

for (const { name, make, code, says } of odd) {
  test(`${name} is no archive, and leaves nothing`, { skip }, async () => {
    const folder = await home.folder(`odd ${name}`);
    const file = await make(folder);
    const root = await home.folder(`for ${name}`);
    const { images, content } = await openLibrary(root);
    await assert.rejects(images.load(file, call()), (error: unknown) => {
      assert.ok(error instanceof RuntimeFault, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, says);
      return true;
    });
    assert.deepEqual(await content.ingests(namespace), []);
  });
}
