// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { isDigest } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import type { ImageConfig } from "../ports.ts";
import {
  checkAnnotations,
  checkCounts,
  checkProcess,
  maxNameChars,
  usableLabels,
} from "./document-limits.ts";
import { fieldOf, goList, goObject, goTextMap, goTexts, parseJson } from "./go-json.ts";
import { isIndexType, isManifestType } from "./media-types.ts";
import type { Platform } from "./platform.ts";

/** Points to a blob: in indexes, manifests and image records. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform?: Platform | undefined;
}

export interface Index {
  readonly kind: "index";
  readonly manifests: readonly Descriptor[];
}

export interface Manifest {
  readonly kind: "manifest";
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  /** What an artifact says that it is; "" for an image. */
  readonly artifactType: string;
}

/** The content of a config blob. */
export interface ImageDocument {
  readonly platform: Platform;
  readonly config: ImageConfig;
  /** Digests of the layers' plain archives, base first. */
  readonly diffIds: readonly Digest[];
}

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value), {
  error: "not a sha256 digest",
});
const name = z.string().max(maxNameChars);
const platform = goObject({
  os: name.default(""),
  architecture: name.default(""),
  variant: name.default(""),
});
const descriptor = goObject({
  mediaType: name.default(""),
  digest,
  size: z.number().int().nonnegative(),
  annotations: goTextMap,
  platform: platform.optional(),
});
/** What is no descriptor is somebody else's: it takes nothing from the others. */
const entries = goList(z.unknown()).transform((list) =>
  list.flatMap((entry): Descriptor[] => {
    const { success, data } = descriptor.safeParse(entry);
    return success ? [data] : [];
  }),
);
const index = goObject({ manifests: entries });
const manifest = goObject({
  config: descriptor.prefault({}),
  layers: goList(descriptor),
  artifactType: name.default(""),
});
const process = goObject({
  User: z.string().default(""),
  Env: goTexts,
  Entrypoint: goTexts,
  Cmd: goTexts,
  WorkingDir: z.string().default(""),
  Volumes: z.custom<Readonly<Record<string, unknown>>>(isRecord).default({}),
  StopSignal: name.default(""),
  Labels: goTextMap,
});
const image = goObject({
  os: name.default(""),
  architecture: name.default(""),
  variant: name.default(""),
  config: process.prefault({}),
  rootfs: goObject({ diff_ids: goList(digest) }).prefault({}),
});

/**
 * Reads an index or manifest, OCI's or Docker's schema 2. FAILED_PRECONDITION for anything else, and for one whose
 * type is not that of its descriptor (`mediaType`, "" for none) or its own field: the same bytes must not be two
 * images, depending on who reads them (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array, what: string, mediaType = ""): Index | Manifest {
  const value = parseJson(bytes, what);
  const own = fieldOf(value, "mediaType");
  if (fieldOf(value, "schemaVersion") === 1) {
    throw fault(
      "FAILED_PRECONDITION",
      `${what} is in the format of Docker before 1.10 (schema 1), which is no longer read: build the image anew, or pull and push it with a current Docker`,
    );
  }
  const hasLayers =
    fieldOf(value, "layers") !== undefined || fieldOf(value, "config") !== undefined;
  const hasManifests = fieldOf(value, "manifests") !== undefined;
  if (hasManifests && hasLayers) {
    throw fault("FAILED_PRECONDITION", `${what} is index and manifest at once`);
  }
  const types = [mediaType, own].filter((type) => typeof type === "string");
  const isIndex = hasManifests || (!hasLayers && types.some(isIndexType));
  for (const type of types) {
    const isOther = isIndex ? isManifestType : isIndexType;
    if (!isOther(type)) continue;
    throw fault(
      "FAILED_PRECONDITION",
      `${what} is ${isIndex ? "an index" : "a manifest"}, but its media type is ${type}`,
    );
  }
  return isIndex
    ? { kind: "index", manifests: check(index, value, what).manifests.map(plain) }
    : plainManifest(check(manifest, value, what));
}

/** Without annotations: they are not for us, and can be long. */
function plain(descriptor: Descriptor): Descriptor {
  return { ...descriptor, annotations: {} };
}

function plainManifest({ config, layers, artifactType }: Omit<Manifest, "kind">): Manifest {
  return { kind: "manifest", config: plain(config), layers: layers.map(plain), artifactType };
}

/** Reads the list in an OCI layout's `index.json`. */
export function parseIndex(bytes: Uint8Array, what: string): Index {
  const { manifests } = check(index, parseJson(bytes, what), what);
  for (const { annotations } of manifests) checkAnnotations(annotations, what);
  return { kind: "index", manifests };
}

/** Reads a config blob. FAILED_PRECONDITION when it is none, as for artifacts that are no images. */
export function parseImageDocument(bytes: Uint8Array, what: string): ImageDocument {
  const value = check(image, parseJson(bytes, what), what);
  const config = processOf(value.config);
  const { env, entrypoint, cmd, user, workingDir, stopSignal, volumes } = config;
  const words = [...env, ...entrypoint, ...cmd, ...volumes, user, workingDir, stopSignal];
  checkProcess(words, what);
  return {
    platform: { os: value.os, architecture: value.architecture, variant: value.variant },
    config,
    diffIds: value.rootfs.diff_ids,
  };
}

function processOf(config: z.infer<typeof process>): ImageConfig {
  return {
    user: config.User,
    env: config.Env,
    entrypoint: config.Entrypoint,
    cmd: config.Cmd,
    workingDir: config.WorkingDir,
    volumes: Object.keys(config.Volumes),
    stopSignal: config.StopSignal,
    labels: usableLabels(config.Labels),
  };
}

function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  checkCounts(value, what);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const first = result.error.issues[0];
  const where = first?.path.join(".").slice(0, 200) ?? "";
  throw fault("FAILED_PRECONDITION", `${what} is no image: ${where}: ${first?.message}`, {
    cause: new Error(first?.message),
  });
}
