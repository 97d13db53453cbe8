// SPDX-License-Identifier: Apache-2.0
// What the disk has lost is found, dropped, and brought again by the next pull.
import assert from "node:assert/strict";
import { readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { digestOf as digestOfBytes } from "../../../src/content/digest.ts";
import type { Digest } from "../../../src/content/ports.ts";
import { parseManifest } from "../../../src/images/manifest/documents.ts";
import type { DamageFinding, Image } from "../../../src/images/ports.ts";
import { lacking } from "../../support/lacking.ts";
import { writeOciLayout } from "../../support/oci-image.ts";
import { type Registry, startRegistry } from "../../support/registry.ts";
import { must } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type Library, namespace, openLibrary } from "./library.ts";

const skip = lacking("docker-registry", "skopeo");
const call = () => ({ signal: AbortSignal.timeout(240_000) });
const content = Array.from({ length: 20_000 }, (_, at) => `line ${at * 7919}\n`).join("");

interface Pulled extends Library {
  readonly image: Image;
  readonly name: string;
  readonly root: string;
  readonly manifest: Digest;
  readonly layers: readonly Digest[];
}

suite("a damaged disk", { skip }, () => {
  let home: Scratch;
  let registry: Registry;
  before(async () => {
    home = await scratch({ prefix: "damage" });
    registry = await startRegistry(await home.folder("registry"));
    const layout = await home.folder("layout");
    await writeOciLayout(layout, "one", {
      config: { Cmd: ["sh"] },
      layers: [
        [
          { path: "etc/", mode: 0o750, uid: 7 },
          { path: "etc/old", content },
        ],
        [{ path: "etc/new", content: `new ${content}` }],
      ],
    });
    const target = `docker://${registry.host}/app:one`;
    const args = ["copy", "--quiet", "--dest-tls-verify=false", `oci:${layout}:one`, target];
    await must("skopeo", args);
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  async function pulled(): Promise<Pulled> {
    const root = await home.folder(`pull ${crypto.randomUUID()}`);
    const library = await openLibrary(root);
    const name = `${registry.host}/app:one`;
    const image = await library.images.pull(name, call());
    const manifest = image.repoDigests[0]?.split("@")[1] as Digest;
    const bytes = await library.content.read(manifest, call());
    const parsed = parseManifest(bytes, "manifest", "");
    assert.ok(parsed.kind === "manifest");
    const layers = parsed.layers.map(({ digest }) => digest);
    return { ...library, image, name, root, manifest, layers };
  }

  async function verified(
    { images }: Library,
    reference?: string,
  ): Promise<{ findings: DamageFinding[]; counts: unknown }> {
    const findings: DamageFinding[] = [];
    const answers = images.verify(reference, call());
    for (;;) {
      const { done, value } = await answers.next();
      if (done) return { findings, counts: value };
      findings.push(value);
    }
  }

  /** Another byte in the middle, and the same size and time. */
  async function rot(file: string): Promise<void> {
    const { atime, mtime } = await stat(file);
    const bytes = await readFile(file);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(file, bytes);
    await utimes(file, atime, mtime);
  }

  const cut = (file: string): Promise<void> => truncate(file, 100);
  const manifestOf = ({ manifest }: Pulled): Digest => manifest;
  const configOf = ({ image }: Pulled): Digest => image.id;
  const layerOf = ({ layers }: Pulled): Digest => layers[0]!;
  const otherBytes = /its bytes have the digest sha256:/;
  const injuries = [
    ["manifest that has another byte", manifestOf, rot, otherBytes],
    ["config that is gone", configOf, (file: string) => rm(file), /its file is gone/],
    ["layer that was cut", layerOf, cut, otherBytes],
    ["layer that has another byte", layerOf, rot, otherBytes],
  ] as const;

  test("nothing is found where all is whole", async () => {
    const library = await pulled();
    const counts = { images: 1, blobs: 4, layers: 2 };
    assert.deepEqual(await verified(library), { findings: [], counts });
    assert.deepEqual(await verified(library, library.name), { findings: [], counts });
    await assert.rejects(verified(library, "no/such"), { code: "NOT_FOUND" });
    assert.deepEqual(library.snapshotter.list(namespace).length, 2);
  });

  for (const [what, digestOf, injure, problem] of injuries) {
    test(`a ${what} is found, and brought again`, async () => {
      const library = await pulled();
      const digest = digestOf(library);
      await injure(library.content.pathOf(digest));
      const { findings } = await verified(library);
      assert.deepEqual(
        findings.map((one) => [one.images, one.object, one.isDropped]),
        [[[library.name], `content ${digest}`, true]],
      );
      assert.match(findings[0]!.problem, problem);
      assert.equal(library.content.info(namespace, digest), undefined);
      assert.equal((await library.images.pull(library.name, call())).id, library.image.id);
      assert.equal(digestOfBytes(await readFile(library.content.pathOf(digest))), digest);
    });

    test(`a ${what} fails no pull that needs it`, async () => {
      const library = await pulled();
      const { snapshotter, images, image, name } = library;
      // Without its layers the image is made anew, from what is here.
      for (const { name: chain } of snapshotter.list(namespace).toReversed()) {
        await snapshotter.remove(namespace, chain, call());
      }
      await injure(library.content.pathOf(digestOf(library)));
      assert.equal((await images.pull(name, call())).id, image.id);
      const old = path.join(library.layer(image.chainId, 1), "etc/old");
      assert.equal(await readFile(old, "utf8"), content);
    });
  }

  test("an image whose layer is damaged, and that nobody can bring again, says so", async () => {
    const library = await pulled();
    const { snapshotter, images, image, layers } = library;
    for (const { name: chain } of snapshotter.list(namespace).toReversed()) {
      await snapshotter.remove(namespace, chain, call());
    }
    await rot(library.content.pathOf(layers[1]!));
    const text = new RegExp(
      `content "${layers[1]}" is damaged on the disk: its bytes have the digest`,
    );
    await assert.rejects(images.unpack(image, call()), { code: "DATA_LOSS", message: text });
  });

  const harms: readonly (readonly [string, (root: string) => Promise<unknown>, RegExp])[] = [
    ["another byte", (root) => rot(path.join(root, "etc/old")), /"\/etc\/old" has other content/],
    ["a file less", (root) => rm(path.join(root, "etc/old")), /"\/etc\/old" is missing/],
    ["a file more", (root) => writeFile(path.join(root, "x"), ""), /"\/x" is not of the layer/],
    ["no folder", (root) => rm(root, { recursive: true }), /folder is gone/],
  ];
  for (const [what, harm, expected] of harms) {
    test(`a layer with ${what} is found, and made again`, async () => {
      const library = await pulled();
      const { images, image, snapshotter } = library;
      const [, lower] = snapshotter.directories(namespace, image.chainId);
      await harm(lower!);
      const { findings } = await verified(library);
      assert.equal(findings.length, 1);
      assert.match(findings[0]!.object, /^layer sha256:/);
      assert.match(findings[0]!.problem, expected);
      assert.equal(findings[0]!.isDropped, true);
      await images.unpack(image, call());
      assert.equal(
        await readFile(path.join(library.layer(image.chainId, 1), "etc/old"), "utf8"),
        content,
      );
    });
  }

  test("a damaged layer that a container uses stays, and is told", async () => {
    const library = await pulled();
    const { image, snapshotter } = library;
    await snapshotter.prepare(namespace, "container", image.chainId, call());
    const [, , lower] = snapshotter.directories(namespace, "container");
    await rot(path.join(lower!, "etc/old"));
    const { findings } = await verified(library);
    assert.deepEqual(
      findings.map(({ isDropped }) => isDropped),
      [false],
    );
    assert.equal(snapshotter.stat(namespace, image.chainId).kind, "COMMITTED");
    await snapshotter.remove(namespace, "container", call());
    assert.deepEqual(
      (await verified(library)).findings.map(({ isDropped }) => isDropped),
      [true],
    );
  });
});
