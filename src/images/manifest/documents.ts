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
const platform = z
  .object({
    os: name.default(""),
    architecture: name.default(""),
    variant: name.nullish(),
  })
  .transform(({ os, architecture, variant }) => ({ os, architecture, variant: variant ?? "" }));
// zod reports every wrong entry, and there may be a million: these report the first.
const strings = z
  .unknown()
  .transform((value, context) => {
    if (isRecord(value) && isTexts(Object.entries(value), context)) {
      return value as Record<string, string>;
    }
    if (!isRecord(value)) context.addIssue("expected an object");
    return z.NEVER;
  })
  .nullish();
const list = z
  .unknown()
  .transform((value, context) => {
    if (Array.isArray(value) && isTexts(value.entries(), context)) return value as string[];
    if (!Array.isArray(value)) context.addIssue("expected a list");
    return z.NEVER;
  })
  .nullish();
const descriptor = z
  .object({
    mediaType: name.default(""),
    digest,
    size: z.number().int().nonnegative(),
    annotations: strings,
    platform: platform.nullish(),
  })
  .transform(
    (value): Descriptor => ({
      mediaType: value.mediaType,
      digest: value.digest,
      size: value.size,
      annotations: value.annotations ?? {},
      ...(value.platform && { platform: value.platform }),
    }),
  );
const index = z.object({ manifests: z.array(descriptor) });
const manifest = z.object({ config: descriptor, layers: z.array(descriptor) });
const process = z.object({
  User: z.string().nullish(),
  Env: list,
  Entrypoint: list,
  Cmd: list,
  WorkingDir: z.string().nullish(),
  Volumes: z.custom<Readonly<Record<string, unknown>>>(isRecord).nullish(),
  StopSignal: name.nullish(),
  Labels: strings,
});
const image = z.object({
  os: name.nullish(),
  architecture: name.nullish(),
  variant: name.nullish(),
  config: process.nullish(),
  rootfs: z.object({ diff_ids: z.array(digest).nullish() }),
});

/**
 * Reads an index or manifest, OCI's or Docker's schema 2. FAILED_PRECONDITION for anything else, and for one whose
 * type is not that of its descriptor (`mediaType`, "" for none) or its own field: the same bytes must not be two
 * images, depending on who reads them (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array, what: string, mediaType = ""): Index | Manifest {
  const value = json(bytes, what);
  if (typeof value === "object" && value !== null && "schemaVersion" in value) {
    if (value.schemaVersion === 1) {
      throw fault("FAILED_PRECONDITION", `${what} is in Docker's old schema 1: push it anew`);
    }
  }
  const isIndex = typeof value === "object" && value !== null && "manifests" in value;
  if (isIndex && ("layers" in value || "config" in value)) {
    throw fault("FAILED_PRECONDITION", `${what} is index and manifest at once`);
  }
  const own =
    typeof value === "object" && value !== null && "mediaType" in value && value.mediaType;
  for (const type of [mediaType, own]) {
    const isOther = isIndex ? isManifestType : isIndexType;
    if (typeof type !== "string" || !isOther(type)) continue;
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

function plainManifest({ config, layers }: Omit<Manifest, "kind">): Manifest {
  return { kind: "manifest", config: plain(config), layers: layers.map(plain) };
}

/** Reads the list in an OCI layout's `index.json`. */
export function parseIndex(bytes: Uint8Array, what: string): Index {
  const { manifests } = check(index, json(bytes, what), what);
  for (const { annotations } of manifests) checkAnnotations(annotations, what);
  return { kind: "index", manifests };
}

/** Reads a config blob. FAILED_PRECONDITION when it is none, as for artifacts that are no images. */
export function parseImageDocument(bytes: Uint8Array, what: string): ImageDocument {
  const value = check(image, json(bytes, what), what);
  const config = processOf(value.config ?? {});
  const { env, entrypoint, cmd, user, workingDir, stopSignal, volumes } = config;
  const words = [...env, ...entrypoint, ...cmd, ...volumes, user, workingDir, stopSignal];
  checkProcess(words, what);
  return {
    platform: {
      os: value.os ?? "",
      architecture: value.architecture ?? "",
      variant: value.variant ?? "",
    },
    config,
    diffIds: value.rootfs.diff_ids ?? [],
  };
}

function processOf(config: z.infer<typeof process>): ImageConfig {
  return {
    user: config.User ?? "",
    env: config.Env ?? [],
    entrypoint: config.Entrypoint ?? [],
    cmd: config.Cmd ?? [],
    workingDir: config.WorkingDir ?? "",
    volumes: Object.keys(config.Volumes ?? {}),
    stopSignal: config.StopSignal ?? "",
    labels: usableLabels(config.Labels ?? {}),
  };
}

function isTexts(
  entries: Iterable<readonly [key: string | number, value: unknown]>,
  context: z.core.$RefinementCtx,
): boolean {
  for (const [key, value] of entries) {
    if (typeof value === "string") continue;
    context.addIssue({ code: "custom", path: [key], message: "expected a string" });
    return false;
  }
  return true;
}

function json(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw fault("FAILED_PRECONDITION", `${what} is not JSON`, { cause: error });
  }
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
