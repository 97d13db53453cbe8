// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { shortened } from "../../base/shortened.ts";
import { digestProblem, isDigest } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import type { ImageConfig } from "../ports.ts";
import {
  checkAnnotations,
  checkCounts,
  checkProcess,
  maxNameChars,
  usableLabels,
} from "./document-limits.ts";
import {
  fieldsOf,
  goList,
  goObject,
  goTextMap,
  goTexts,
  namesTwice,
  parseJson,
} from "./go-json.ts";
import { isIndexType, isManifestType } from "./media-types.ts";
import type { Platform } from "./platform.ts";

/** Points to a blob: in indexes, manifests and image records. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform?: Platform | undefined;
  /** The blob itself, in base64; "" where it is not there. */
  readonly data?: string | undefined;
}

export interface Index {
  readonly kind: "index";
  readonly manifests: readonly Descriptor[];
  /** Entries that nobody can follow, but that say what they are for. */
  readonly broken: readonly BrokenEntry[];
}

export interface BrokenEntry {
  readonly platform: Platform;
  readonly problem: string;
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
  error: ({ input }) => digestProblem(typeof input === "string" ? shortened(input, 100) : ""),
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
  data: z.string().optional().catch(undefined),
});
/** Of an entry that is no descriptor, what it is for. */
const platformAlone = goObject({ platform });
/** What is no descriptor is somebody else's: it takes nothing from the others. But it keeps its platform. */
const entries = goList(z.unknown()).transform((list) => {
  const found: Descriptor[] = [];
  const broken: BrokenEntry[] = [];
  for (const entry of list) {
    const { success, data, error } = descriptor.safeParse(entry);
    if (success) found.push(data);
    else {
      const its = platformAlone.safeParse(entry);
      const problem = shortened(error.issues[0]?.message ?? "", 100);
      const says = its.success && its.data.platform.architecture !== "";
      if (says) broken.push({ platform: its.data.platform, problem });
    }
  }
  return { found, broken };
});
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

/** What tells which image a document is. */
const decisive = ["mediaType", "schemaVersion", "manifests", "config", "layers"] as const;

/**
 * Reads an index or manifest, OCI's or Docker's schema 2. FAILED_PRECONDITION for anything else, and for one whose
 * type is not that of its descriptor (`mediaType`, "" for none) or its own field: the same bytes must not be two
 * images, depending on who reads them (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array, what: string, mediaType = ""): Index | Manifest {
  const value = parseJson(bytes, what);
  const twice = namesTwice(value, decisive);
  if (twice !== undefined) {
    throw fault("FAILED_PRECONDITION", `${what} has "${twice}" twice, in other cases`);
  }
  const fields = fieldsOf(value, decisive);
  if (fields["schemaVersion"] === 1) {
    throw fault(
      "FAILED_PRECONDITION",
      `${what} is in the format of Docker before 1.10 (schema 1), which is no longer read: build the image anew, or pull and push it with a current Docker`,
    );
  }
  const hasLayers = fields["layers"] !== undefined || fields["config"] !== undefined;
  const hasManifests = fields["manifests"] !== undefined;
  if (hasManifests && hasLayers) {
    throw fault("FAILED_PRECONDITION", `${what} is index and manifest at once`);
  }
  const types = [mediaType, fields["mediaType"]].filter((type) => typeof type === "string");
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
    ? plainIndex(check(index, value, what).manifests)
    : plainManifest(check(manifest, value, what));
}

/** Without annotations: they are not for us, and can be long. */
function plain(descriptor: Descriptor): Descriptor {
  return { ...descriptor, annotations: {} };
}

function plainIndex({ found, broken }: z.infer<typeof entries>): Index {
  return { kind: "index", manifests: found.map(plain), broken };
}

function plainManifest({ config, layers, artifactType }: Omit<Manifest, "kind">): Manifest {
  return { kind: "manifest", config: plain(config), layers: layers.map(plain), artifactType };
}

/** Reads the list in an OCI layout's `index.json`. */
export function parseIndex(bytes: Uint8Array, what: string): Index {
  const { found, broken } = check(index, parseJson(bytes, what), what).manifests;
  for (const { annotations } of found) checkAnnotations(annotations, what);
  return { kind: "index", manifests: found, broken };
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
