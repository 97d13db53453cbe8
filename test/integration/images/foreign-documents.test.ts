// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { digestOf } from "../../../src/content/digest.ts";
import { ociArchitecture } from "../../support/oci-image.ts";
import { scratch } from "../../support/scratch.ts";
import { serveImage } from "../../support/scripted-registry.ts";
import { tarBytes } from "../../support/tar-bytes.ts";
import { openLibrary } from "./library.ts";

// Documents of images as other tools write them: each is pulled from a registry that has nothing else.

const call = () => ({ signal: AbortSignal.timeout(240_000) });
const skip = process.getuid?.() === 0 ? false : "needs root";

const oci = "application/vnd.oci.image";
const architecture = ociArchitecture();
const other = architecture === "amd64" ? "arm64" : "amd64";
const layer = tarBytes([{ name: "hello", content: "hello" }]);

/** Puts blobs together; `store` answers the descriptor of one. */
class Blobs {
  readonly all = new Map<string, Buffer>();

  store(content: unknown, mediaType: string): { mediaType: string; digest: string; size: number } {
    const bytes =
      Buffer.isBuffer(content) || typeof content === "string"
        ? Buffer.from(content)
        : Buffer.from(JSON.stringify(content));
    const digest = digestOf(bytes);
    this.all.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  layer() {
    return this.store(layer, `${oci}.layer.v1.tar`);
  }

  config(more: object = {}) {
    const rootfs = { type: "layers", diff_ids: [digestOf(layer)] };
    return this.store({ os: "linux", architecture, rootfs, ...more }, `${oci}.config.v1+json`);
  }

  image(more: object = {}, config: object = {}) {
    return this.store(
      { schemaVersion: 2, config: this.config(config), layers: [this.layer()], ...more },
      `${oci}.manifest.v1+json`,
    );
  }

  /** The descriptor with its blob, which is nowhere else. */
  inline<T extends { readonly digest: string }>(descriptor: T): T & { data: string } {
    const bytes = this.all.get(descriptor.digest) ?? Buffer.alloc(0);
    this.all.delete(descriptor.digest);
    return { ...descriptor, data: bytes.toString("base64") };
  }

  index(manifests: unknown, more: object = {}) {
    return this.store({ schemaVersion: 2, manifests, ...more }, `${oci}.index.v1+json`);
  }
}

type Descriptor = ReturnType<Blobs["store"]>;
const label = (name: string) => ({ config: { Labels: { name } } });
const forPlatform = (descriptor: Descriptor, platform: unknown) => ({ ...descriptor, platform });

interface Taken {
  readonly what: string;
  readonly make: (blobs: Blobs) => Descriptor;
  /** The image's label `name`, where an index has several. */
  readonly name?: string;
  readonly layers?: number;
}

const taken: readonly Taken[] = [
  {
    what: "a manifest whose config names another architecture",
    make: (blobs) => blobs.image({}, { architecture: other }),
  },
  {
    what: "an index whose entry fits, and whose image's config names another architecture",
    make: (blobs) =>
      blobs.index([
        forPlatform(blobs.image({}, { architecture: other, ...label("a") }), {
          os: "linux",
          architecture,
        }),
      ]),
  },
  {
    what: "an index with the kernel's name of the architecture",
    make: (blobs) =>
      blobs.index([
        forPlatform(blobs.image({}, label("other")), { os: "linux", architecture: other }),
        forPlatform(blobs.image({}, label("ours")), {
          OS: "Linux",
          Architecture: architecture === "amd64" ? "X86_64" : "AArch64",
        }),
      ]),
    name: "ours",
  },
  {
    what: "an index with null, unknown and broken entries before ours",
    make: (blobs) =>
      blobs.index([
        null,
        "text",
        {},
        { mediaType: `${oci}.manifest.v1+json`, digest: "blake3:00", size: -1 },
        forPlatform(blobs.store("attestation", `${oci}.manifest.v1+json`), {
          architecture: "unknown",
          os: "unknown",
        }),
        { ...blobs.image({}, label("bad platform")), platform: "linux" },
        { ...forPlatform(blobs.image({}, label("ours")), { os: "linux", architecture }) },
      ]),
    name: "ours",
  },
  {
    what: "an index without platforms, whose second image is ours",
    make: (blobs) =>
      blobs.index([
        blobs.store({ schemaVersion: 2, config: null }, `${oci}.manifest.v1+json`),
        { ...blobs.image({}, { architecture: other, ...label("other") }), platform: null },
        blobs.image({}, label("ours")),
      ]),
    name: "ours",
  },
  {
    what: "documents and a layer that stand in their descriptors alone",
    make: (blobs) => {
      const [config, packed] = [blobs.inline(blobs.config()), blobs.inline(blobs.layer())];
      const image = blobs.inline(blobs.image({ config, layers: [packed] }));
      return blobs.index([forPlatform(image, { os: "linux", architecture })]);
    },
  },
  {
    what: "descriptors with other data than their digests",
    make: (blobs) => {
      const wrong = [{ data: "AAAA" }, { data: 5 }, { data: null }, { data: "%" }];
      const [config, packed] = [blobs.config(), blobs.layer()];
      const image = blobs.image({
        config: { ...config, ...wrong[0] },
        layers: [{ ...packed, ...wrong[1] }],
        subject: { ...config, ...wrong[2] },
      });
      return blobs.index([forPlatform({ ...image, ...wrong[3] }, { os: "linux", architecture })]);
    },
  },
  {
    what: "documents with names of fields in other cases",
    make: (blobs) => {
      const config = blobs.store(
        { OS: "linux", Architecture: architecture, RootFS: { Diff_IDs: [digestOf(layer)] } },
        `${oci}.config.v1+json`,
      );
      const { mediaType, digest, size } = blobs.layer();
      return blobs.store(
        {
          SchemaVersion: 2,
          Config: { MediaType: config.mediaType, Digest: config.digest, Size: config.size },
          LAYERS: [{ mediatype: mediaType, DIGEST: digest, Size: size, annotations: null }],
          annotations: { a: null },
          subject: { deep: [1] },
        },
        `${oci}.manifest.v1+json`,
      );
    },
  },
  {
    what: "a config of nulls",
    make: (blobs) =>
      blobs.image(
        {},
        {
          variant: null,
          author: null,
          history: null,
          config: {
            User: null,
            Env: [null, "A=b"],
            Cmd: null,
            Entrypoint: [],
            Volumes: { "/data": null },
            Labels: { name: "nulls", none: null },
            StopSignal: null,
            ExposedPorts: null,
            Healthcheck: 7,
          },
        },
      ),
    name: "nulls",
  },
  { what: "an image whose layers are null", make: noLayers(null), layers: 0 },
  { what: "an image without layers", make: noLayers(undefined), layers: 0 },
  { what: "an image of an empty list of layers", make: noLayers([]), layers: 0 },
];

function noLayers(layers: unknown): (blobs: Blobs) => Descriptor {
  return (blobs) => {
    const config = blobs.config({ rootfs: layers === undefined ? null : { diff_ids: layers } });
    return blobs.store({ schemaVersion: 2, config, layers }, `${oci}.manifest.v1+json`);
  };
}

/** A registry that has what `make` puts together, and nothing else. */
function serveMade(make: (blobs: Blobs) => Descriptor) {
  const blobs = new Blobs();
  return serveImage({ id: "", layer: "", manifest: make(blobs), blobs: blobs.all });
}

for (const { what, make, name, layers = 1 } of taken) {
  test(`${what} is pulled`, { skip }, async () => {
    await using home = await scratch({ prefix: "foreign" });
    await using registry = await serveMade(make);
    const { images } = await openLibrary(home.path);
    const image = await images.pull(`${registry.host}/a/b:1`, call());
    assert.equal(image.layers, layers);
    if (name) assert.equal(image.config.labels["name"], name);
    assert.equal(images.find(`${registry.host}/a/b:1`), image);
  });
}

const refused: readonly {
  readonly what: string;
  readonly make: (blobs: Blobs) => Descriptor;
  readonly code: string;
  readonly says: RegExp;
}[] = [
  {
    what: "an index for others alone",
    make: (blobs) =>
      blobs.index([forPlatform(blobs.image(), { os: "windows", architecture: "amd64" }), null]),
    code: "NOT_FOUND",
    says: /has no image for linux\/\w+, only for windows\/amd64$/,
  },
  {
    what: "an index without platforms whose only image is for others",
    make: (blobs) => blobs.index([blobs.image({}, { architecture: other })]),
    code: "NOT_FOUND",
    says: /: image is for linux\/\w+, not for linux\/\w+$/,
  },
  {
    what: "an empty index",
    make: (blobs) => blobs.index(null, { mediaType: `${oci}.index.v1+json` }),
    code: "NOT_FOUND",
    says: /: index "sha256:\w+" lists no images$/,
  },
  {
    what: "an image in Docker's schema 1",
    make: (blobs) =>
      blobs.store(
        { schemaVersion: 1, name: "a/b", tag: "1", fsLayers: [{ blobSum: digestOf("x") }] },
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
      ),
    code: "FAILED_PRECONDITION",
    says: /format of Docker before 1\.10 \(schema 1\)/,
  },
  {
    what: "a Helm chart",
    make: (blobs) =>
      blobs.store(
        {
          schemaVersion: 2,
          config: blobs.store({ name: "chart" }, "application/vnd.cncf.helm.config.v1+json"),
          layers: [blobs.store("chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")],
        },
        `${oci}.manifest.v1+json`,
      ),
    code: "FAILED_PRECONDITION",
    says: /is no container image, but a Helm chart \("application\/vnd\.cncf\.helm\.config\.v1\+json"\)$/,
  },
  {
    what: "an artifact with an empty config",
    make: (blobs) =>
      blobs.store(
        {
          schemaVersion: 2,
          artifactType: "application/vnd.example+type",
          config: blobs.store("{}", "application/vnd.oci.empty.v1+json"),
          layers: [blobs.store("data", "text/plain")],
        },
        `${oci}.manifest.v1+json`,
      ),
    code: "FAILED_PRECONDITION",
    says: /is no container image, but an artifact \("application\/vnd\.example\+type"\)$/,
  },
  {
    what: "an attestation",
    make: (blobs) => {
      const statement = blobs.store("{}", "application/vnd.in-toto+json");
      const config = blobs.config({ rootfs: { diff_ids: [statement.digest] } });
      return blobs.store(
        { schemaVersion: 2, config, layers: [statement] },
        `${oci}.manifest.v1+json`,
      );
    },
    code: "FAILED_PRECONDITION",
    says: /is no container image, but an attestation .*"application\/vnd\.in-toto\+json"/,
  },
  {
    what: "a document that is index and image, in other cases",
    make: (blobs) => blobs.image({ Manifests: [] }),
    code: "FAILED_PRECONDITION",
    says: /is index and manifest at once$/,
  },
];

for (const { what, make, code, says } of refused) {
  test(`${what} is refused in words`, { skip }, async () => {
    await using home = await scratch({ prefix: "foreign" });
    await using registry = await serveMade(make);
    const { images } = await openLibrary(home.path);
    await assert.rejects(images.pull(`${registry.host}/a/b:1`, call()), (error: unknown) => {
      assert.ok(error instanceof RuntimeFault, String(error));
      assert.match(error.message, says);
      assert.equal(error.code, code);
      return true;
    });
    assert.deepEqual(images.list(), []);
  });
}
