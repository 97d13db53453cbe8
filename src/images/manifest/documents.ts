// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../../base/errors.ts";
import { isDigest } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import type { ImageConfig } from "../ports.ts";
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

/** What a config blob says. */
export interface ImageDocument {
  readonly platform: Platform;
  readonly config: ImageConfig;
  /** Digests of the layers' plain archives, base first. */
  readonly diffIds: readonly Digest[];
  /** The whole document, for people who inspect the image. */
  readonly raw: unknown;
}

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value), {
  error: "not a sha256 digest",
});
const platform = z
  .object({
    os: z.string().default(""),
    architecture: z.string().default(""),
    variant: z.string().nullish(),
  })
  .transform(({ os, architecture, variant }) => ({ os, architecture, variant: variant ?? "" }));
const strings = z.record(z.string(), z.string()).nullish();
const descriptor = z
  .object({
    mediaType: z.string().default(""),
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
const list = z.array(z.string()).nullish();
const process = z.object({
  User: z.string().nullish(),
  Env: list,
  Entrypoint: list,
  Cmd: list,
  WorkingDir: z.string().nullish(),
  Volumes: z.record(z.string(), z.unknown()).nullish(),
  StopSignal: z.string().nullish(),
  Labels: strings,
});
const image = z.object({
  os: z.string().nullish(),
  architecture: z.string().nullish(),
  variant: z.string().nullish(),
  config: process.nullish(),
  rootfs: z.object({ diff_ids: z.array(digest).nullish() }),
});

/**
 * Reads an index or manifest, OCI's or Docker's schema 2. FAILED_PRECONDITION for anything else, and for
 * one that is not what its descriptor (`mediaType`, "" when it tells nothing) or it itself says: the same
 * bytes must not be two images, depending on whom one asks (CVE-2021-41190).
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
    ? { kind: "index", ...check(index, value, what) }
    : { kind: "manifest", ...check(manifest, value, what) };
}

/** Reads the list in an OCI layout's `index.json`. */
export function parseIndex(bytes: Uint8Array, what: string): Index {
  return { kind: "index", ...check(index, json(bytes, what), what) };
}

/** Reads a config blob. FAILED_PRECONDITION when it is none, as for artifacts that are no images. */
export function parseImageDocument(bytes: Uint8Array, what: string): ImageDocument {
  const raw = json(bytes, what);
  const value = check(image, raw, what);
  const config = value.config ?? {};
  return {
    platform: {
      os: value.os ?? "",
      architecture: value.architecture ?? "",
      variant: value.variant ?? "",
    },
    config: {
      user: config.User ?? "",
      env: config.Env ?? [],
      entrypoint: config.Entrypoint ?? [],
      cmd: config.Cmd ?? [],
      workingDir: config.WorkingDir ?? "",
      volumes: Object.keys(config.Volumes ?? {}),
      stopSignal: config.StopSignal ?? "",
      labels: config.Labels ?? {},
    },
    diffIds: value.rootfs.diff_ids ?? [],
    raw,
  };
}

function json(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw fault("FAILED_PRECONDITION", `${what} is not JSON`, { cause: error });
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const first = result.error.issues[0];
  const where = first?.path.join(".") ?? "";
  throw fault("FAILED_PRECONDITION", `${what} is no image: ${where}: ${first?.message}`, {
    cause: result.error,
  });
}
