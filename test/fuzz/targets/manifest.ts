// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { parseDockerArchive } from "../../../src/images/manifest/docker-archive.ts";
import {
  type Descriptor,
  parseIndex,
  parseManifest,
} from "../../../src/images/manifest/documents.ts";
import { MediaType } from "../../../src/images/manifest/media-types.ts";
import { candidatesFor } from "../../../src/images/manifest/platform.ts";
import {
  goField,
  goFolded,
  goTextList,
  type Json,
  json,
  repeated,
  repeatedList,
} from "../models/json.ts";
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
  { SchemaVersion: 2, CONFIG: config, Layers: null, artifactType: "a/b" },
  { mediaType: MediaType.ociIndex, manifests: null },
  { manifests: [null, 1, { digest: "md5:0" }, { ...config, platform: null }, { Digest: 1 }] },
  [null, { config: "c", layers: null, REPOTAGS: [null] }],
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
    "src/images/manifest/go-json.ts",
    "src/images/manifest/platform.ts",
  ],
  dictionary: [
    ...types,
    digest("0f"),
    '"mediaType":',
    '"digest":',
    '"size":',
    '"platform":{"os":"linux","architecture":"arm64","variant":"v8"},',
    '"data":"e30=",',
    '"data":5,',
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
  assert.deepEqual(withoutBroken(read), expected);
  if (read?.kind !== "index") return;
  const wanted = { os: "linux", architecture: "amd64", variant: "" };
  for (const one of candidatesFor(wanted, read.manifests)) assert.ok(read.manifests.includes(one));
}

function holdsAsLayout(bytes: Buffer, value: Json): void {
  const list = isObject(value) ? entriesOf(goField(value, "manifests")) : undefined;
  const isShort = list?.every(({ annotations }) => lengthOf(annotations) <= 64 * 1024) === true;
  const read = either(() => parseIndex(bytes, what), "FAILED_PRECONDITION");
  const isOther = countsAreWrong(value);
  const index = { kind: "index", manifests: list, broken: [] };
  assert.deepEqual(withoutBroken(read), isShort && !isOther ? index : undefined);
}

/** The broken entries are told for errors alone. */
function withoutBroken<T extends ReturnType<typeof parseManifest>>(read: T | undefined): unknown {
  return read?.kind === "index" ? { ...read, broken: [] } : read;
}

function holdsAsDockerArchive(bytes: Buffer, value: Json): void {
  const namesIn = (list: Json): string[] | undefined => {
    const names = goTextList(list);
    const isGood = names && names.length <= 500 && names.every((one) => one.length <= 4096);
    return isGood ? names : undefined;
  };
  const images = (Array.isArray(value) ? value : value === null ? [] : [undefined]).map(
    (image: Json) => {
      const own = goField(image, "Config");
      const [tags, layers] = [
        namesIn(goField(image, "RepoTags")),
        namesIn(goField(image, "Layers")),
      ];
      if (typeof own !== "string" || own.length > 4096 || !tags || !layers) return undefined;
      return { Config: own, RepoTags: tags, Layers: layers };
    },
  );
  const isGood = images.length <= 1000 && images.every((image) => image !== undefined);
  const read = either(() => parseDockerArchive(bytes, what), "INVALID_ARGUMENT");
  assert.deepEqual(read, isGood ? images : undefined);
}

/** The same by hand; undefined for what is refused. */
function manifestOf(value: Json, mediaType: string): ReturnType<typeof parseManifest> | undefined {
  const has = (name: string): boolean => goField(value, name) !== undefined;
  if (!isObject(value) || countsAreWrong(value) || goField(value, "schemaVersion") === 1) return;
  const keys = Object.keys(value ?? {}).map(goFolded);
  const decisive = ["mediatype", "schemaversion", "manifests", "config", "layers"];
  if (decisive.some((name) => keys.indexOf(name) !== keys.lastIndexOf(name))) return;
  const indexTypes: Json[] = [MediaType.ociIndex, MediaType.dockerList];
  const stated = [mediaType, goField(value, "mediaType")];
  const hasParts = has("layers") || has("config");
  const isIndex =
    has("manifests") || (!hasParts && stated.some((type) => indexTypes.includes(type)));
  if (isIndex && hasParts) return;
  const others: Json[] = isIndex ? [MediaType.ociManifest, MediaType.dockerManifest] : indexTypes;
  if (stated.some((type) => others.includes(type))) return;
  const bare = (list: Descriptor[] | undefined): Descriptor[] | undefined =>
    list?.map((descriptor) => ({ ...descriptor, annotations: {} }));
  if (isIndex) {
    const manifests = bare(entriesOf(goField(value, "manifests")));
    return manifests && { kind: "index", manifests, broken: [] };
  }
  const layers = bare(descriptorsOf(goField(value, "layers") ?? []));
  const [own] = bare(descriptorsOf([goField(value, "config") ?? {}])) ?? [];
  const artifactType = name(goField(value, "artifactType"));
  if (!layers || !own || artifactType === undefined) return;
  return { kind: "manifest", config: own, layers, artifactType };
}

/** Too many of anything is refused wherever it stands. */
function countsAreWrong(value: Json): boolean {
  const count = (list: Json): number =>
    typeof list === "object" && list !== null ? Object.keys(list).length : 0;
  const limits = [
    [goField(value, "manifests"), 5000],
    [goField(value, "layers"), 500],
    [goField(value, "rootfs", "diff_ids"), 500],
    ...["Env", "Entrypoint", "Cmd", "Volumes", "Labels"].map(
      (name) => [goField(value, "config", name), 20_000] as const,
    ),
  ] as const;
  return limits.some(([list, limit]) => count(list) > limit);
}

/** null is an empty object. */
function isObject(value: Json): boolean {
  return value !== undefined && typeof value === "object" && !Array.isArray(value);
}

/** What is a descriptor of these. */
function entriesOf(list: Json): Descriptor[] | undefined {
  if (list === undefined) return [];
  if (!Array.isArray(list)) return undefined;
  return list.map(descriptorOf).filter((descriptor) => descriptor !== undefined);
}

function descriptorsOf(list: Json): Descriptor[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const read = list.map(descriptorOf);
  return read.every((descriptor) => descriptor !== undefined) ? read : undefined;
}

function descriptorOf(value: Json): Descriptor | undefined {
  if (!isObject(value)) return;
  const size = goField(value, "size");
  const id = goField(value, "digest");
  const type = name(goField(value, "mediaType"));
  const annotations = goField(value, "annotations") ?? {};
  const platform = goField(value, "platform");
  const data = goField(value, "data");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return;
  if (typeof id !== "string" || id.length !== 71 || !/^sha256:[0-9a-f]+$/.test(id)) return;
  if (type === undefined || !isObject(annotations)) return;
  const texts = Object.entries(annotations as object).map(([key, text]) => [key, text ?? ""]);
  if (!texts.every(([, text]) => typeof text === "string")) return;
  const plain = {
    mediaType: type,
    digest: id as Descriptor["digest"],
    size,
    annotations: Object.fromEntries(texts) as Record<string, string>,
    ...(data !== undefined && { data: typeof data === "string" ? data : undefined }),
  };
  if (platform === undefined) return plain;
  if (!isObject(platform)) return;
  const [os, architecture, variant] = [
    name(goField(platform, "os")),
    name(goField(platform, "architecture")),
    name(goField(platform, "variant")),
  ];
  if (os === undefined || architecture === undefined || variant === undefined) return;
  return { ...plain, platform: { os, architecture, variant } };
}

/** "" for one that is left out; undefined for what is none. */
function name(value: Json): string | undefined {
  if (value === undefined) return "";
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
