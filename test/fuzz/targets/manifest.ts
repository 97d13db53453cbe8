// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { parseDockerArchive } from "../../../src/images/manifest/docker-archive.ts";
import {
  type Descriptor,
  parseIndex,
  parseManifest,
} from "../../../src/images/manifest/documents.ts";
import { MediaType } from "../../../src/images/manifest/media-types.ts";
import { bestFor } from "../../../src/images/manifest/platform.ts";
import { type Json, json, member, repeated, repeatedList } from "../models/json.ts";
import { type FuzzTarget, refused } from "../target.ts";

// An input is a document, and before it a byte: which media type its descriptor states. Lists in it can be made
// long: see repeatedList.

const types = ["", ...Object.values(MediaType), "application/json"];
const digest = (byte: string): string => `sha256:${byte.repeat(32)}`;
const layer = (byte: string): object => ({
  mediaType: `${MediaType.ociLayer}+gzip`,
  digest: digest(byte),
  size: 1234,
  annotations: { "org.example": "x" },
});
const config = { mediaType: MediaType.ociConfig, digest: digest("c0"), size: 7 };
const documents: readonly object[] = [
  {
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config,
    layers: [layer("01"), layer("02")],
  },
  { schemaVersion: 2, mediaType: MediaType.dockerManifest, config, layers: [] },
  {
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [
      { ...config, platform: { os: "linux", architecture: "amd64" } },
      {
        ...config,
        platform: { os: "linux", architecture: "arm", variant: "v7" },
        annotations: null,
      },
    ],
  },
  { manifests: [{ digest: digest("ab"), size: 0 }] },
  { schemaVersion: 1, name: "old", fsLayers: [] },
  [
    { Config: "config.json", RepoTags: ["a:b"], Layers: ["l/layer.tar"] },
    { Config: "", Layers: [] },
  ],
  ...[-1, 1.5, 2 ** 53, "1", null].map((size) => ({
    config,
    layers: [{ ...layer("01"), size }],
  })),
  ...["", "sha256:ab", `${digest("ab")}0`, digest("AB"), 1].map((id) => ({
    manifests: [{ digest: id, size: 0 }],
  })),
  // As many as may be, and one more.
  { config, layers: [layer("01"), "×500"] },
  { config, layers: [layer("01"), "×501"] },
  { manifests: [{ digest: digest("ab"), size: 0 }, "×5000"] },
  { manifests: [{ digest: digest("ab"), size: 0 }, "×5001"] },
  [{ Config: "c", Layers: ["l", "×501"] }],
];

export const target: FuzzTarget = {
  name: "manifest",
  parses: [
    "src/images/manifest/documents.ts",
    "src/images/manifest/docker-archive.ts",
    "src/images/manifest/document-limits.ts",
    "src/images/manifest/platform.ts",
  ],
  dictionary: [
    ...types,
    digest("0f"),
    '"mediaType":',
    '"digest":',
    '"size":',
    '"platform":{"os":"linux","architecture":"arm64","variant":"v8"},',
    '"annotations":{"a":"b"},',
    '"manifests":[],',
    '"layers":[],',
    '"config":{},',
    '"schemaVersion":1,',
    "null",
    "[]",
    "{}",
    '"×500"',
    '"×5001"',
    "-1",
    "1.5",
    "9007199254740993",
    "\xed\xa0\x80",
    '"__proto__":',
  ],
  *seeds() {
    for (const [at, document] of documents.entries()) {
      yield Buffer.concat([Buffer.from([at % types.length]), repeated(document)]);
    }
  },
  run(input) {
    const mediaType = types[(input[0] ?? 0) % types.length] ?? "";
    const bytes = repeatedList(input.subarray(1));
    const value = json(bytes);
    holdsAsManifest(bytes, value, mediaType);
    holdsAsLayout(bytes, value);
    holdsAsDockerArchive(bytes, value);
  },
};

const what = "manifest sha256:abc";

function holdsAsManifest(bytes: Buffer, value: Json, mediaType: string): void {
  const expected = manifestOf(value, mediaType);
  const read = either(() => parseManifest(bytes, what, mediaType), "FAILED_PRECONDITION");
  assert.deepEqual(read, expected);
  if (read?.kind !== "index") return;
  const best = bestFor({ os: "linux", architecture: "amd64", variant: "" }, read.manifests);
  assert.ok(best === undefined || read.manifests.includes(best));
}

function holdsAsLayout(bytes: Buffer, value: Json): void {
  const list = descriptorsOf(member(value, "manifests"), 5000);
  const isShort = list?.every(({ annotations }) => lengthOf(annotations) <= 64 * 1024) === true;
  const read = either(() => parseIndex(bytes, what), "FAILED_PRECONDITION");
  const isOther = countsAreWrong(value);
  assert.deepEqual(read, isShort && !isOther ? { kind: "index", manifests: list } : undefined);
}

function holdsAsDockerArchive(bytes: Buffer, value: Json): void {
  const isName = (name: Json): boolean => typeof name === "string" && name.length <= 4096;
  const areNames = (list: Json): boolean =>
    Array.isArray(list) && list.length <= 500 && list.every(isName);
  const isImage = (image: Json): boolean => {
    const tags = member(image, "RepoTags");
    return (
      isName(member(image, "Config")) &&
      areNames(member(image, "Layers")) &&
      (tags === undefined || tags === null || areNames(tags))
    );
  };
  const isGood = Array.isArray(value) && value.length <= 1000 && value.every(isImage);
  const read = either(() => parseDockerArchive(bytes, what), "INVALID_ARGUMENT");
  assert.equal(read !== undefined, isGood);
  for (const [at, image] of read?.entries() ?? []) {
    assert.equal(image.Config, member(value, at, "Config"));
    assert.deepEqual(image.Layers, member(value, at, "Layers"));
    assert.deepEqual(image.RepoTags, member(value, at, "RepoTags"));
  }
}

/** The same by hand; undefined for what is refused. */
function manifestOf(value: Json, mediaType: string): ReturnType<typeof parseManifest> | undefined {
  const has = (name: string): boolean => member(value, name) !== undefined;
  const isDocument = typeof value === "object" && value !== null;
  if (!isDocument || countsAreWrong(value) || member(value, "schemaVersion") === 1) return;
  const isIndex = has("manifests");
  if (isIndex && (has("layers") || has("config"))) return;
  const others: Json[] = isIndex
    ? [MediaType.ociManifest, MediaType.dockerManifest]
    : [MediaType.ociIndex, MediaType.dockerList];
  if (others.includes(mediaType) || others.includes(member(value, "mediaType"))) return;
  const bare = (list: Descriptor[] | undefined): Descriptor[] | undefined =>
    list?.map((descriptor) => ({ ...descriptor, annotations: {} }));
  if (isIndex) {
    const manifests = bare(descriptorsOf(member(value, "manifests"), 5000));
    return manifests && { kind: "index", manifests };
  }
  const layers = bare(descriptorsOf(member(value, "layers"), 500));
  const [own] = bare(descriptorsOf([member(value, "config")], 1)) ?? [];
  return layers && own && { kind: "manifest", config: own, layers };
}

/** Too many of anything is refused wherever it stands. */
function countsAreWrong(value: Json): boolean {
  const count = (list: Json): number =>
    typeof list === "object" && list !== null ? Object.keys(list).length : 0;
  const limits = [
    [member(value, "manifests"), 5000],
    [member(value, "layers"), 500],
    [member(value, "rootfs", "diff_ids"), 500],
    ...["Env", "Entrypoint", "Cmd", "Volumes", "Labels"].map(
      (name) => [member(value, "config", name), 20_000] as const,
    ),
  ] as const;
  return limits.some(([list, limit]) => count(list) > limit);
}

function descriptorsOf(list: Json, limit: number): Descriptor[] | undefined {
  if (!Array.isArray(list) || list.length > limit) return undefined;
  const read = list.map((value) => descriptorOf(value));
  return read.every((descriptor) => descriptor !== undefined) ? read : undefined;
}

function descriptorOf(value: Json): Descriptor | undefined {
  const size = member(value, "size");
  const id = member(value, "digest");
  const type = name(member(value, "mediaType"), false);
  const annotations = member(value, "annotations") ?? {};
  const platform = member(value, "platform") ?? undefined;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return;
  if (typeof id !== "string" || id.length !== 71 || !/^sha256:[0-9a-f]+$/.test(id)) return;
  if (type === undefined || typeof annotations !== "object" || annotations === null) return;
  if (Array.isArray(annotations)) return;
  if (!Object.values(annotations).every((text) => typeof text === "string")) return;
  const plain = {
    mediaType: type,
    digest: id as Descriptor["digest"],
    size,
    annotations: annotations as Record<string, string>,
  };
  if (platform === undefined) return plain;
  if (typeof platform !== "object" || Array.isArray(platform)) return;
  const [os, architecture, variant] = [
    name(member(platform, "os"), false),
    name(member(platform, "architecture"), false),
    name(member(platform, "variant"), true),
  ];
  if (os === undefined || architecture === undefined || variant === undefined) return;
  return { ...plain, platform: { os, architecture, variant } };
}

/** "" for one that is left out, or null where it may be; undefined for what is none. */
function name(value: Json, mayBeNull: boolean): string | undefined {
  if (value === undefined || (mayBeNull && value === null)) return "";
  return typeof value === "string" && value.length <= 1024 ? value : undefined;
}

function lengthOf(annotations: Readonly<Record<string, string>>): number {
  return Object.entries(annotations).flat().join("").length;
}

function either<T>(run: () => T, code: "FAILED_PRECONDITION" | "INVALID_ARGUMENT"): T | undefined {
  try {
    return run();
  } catch (error) {
    refused(error, code);
    const { message } = error as Error;
    assert.ok(message.length < 1500, `a message of ${message.length} characters`);
    assert.ok(message.startsWith(what), "a message names the document");
    return undefined;
  }
}
