// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import type { Digest } from "../../content/ports.ts";
import { maxDocumentBytes, type NamespaceContent } from "../image-source.ts";
import type { DocumentReader } from "../manifest/document-reader.ts";
import type { Descriptor, Index, Manifest } from "../manifest/documents.ts";
import { isImageConfig, isKnownManifest } from "../manifest/media-types.ts";
import { type Platform, platformFit, platformName } from "../manifest/platform.ts";
import type { SentDocument } from "../registry/push-client.ts";

/** A manifest or an index that is pushed. */
export interface PlannedDocument extends SentDocument {
  readonly size: number;
}

/** Which of an image's platforms are pushed; without either all if they are here, else the only one that is. */
export interface PlatformChoice {
  readonly platform?: Platform | undefined;
  readonly allPlatforms?: boolean | undefined;
}

/** What a push brings to a registry. */
export interface PushPlan {
  /** What the name will mean: sent last. */
  readonly root: PlannedDocument;
  /** Manifests and indexes that it leads to, each after those that it leads to itself. */
  readonly documents: readonly PlannedDocument[];
  /** Configs and layers, each once. Layers may lack here. */
  readonly blobs: readonly Descriptor[];
  /** Platforms that the image has elsewhere, and that are not pushed. */
  readonly left: readonly string[];
}

export interface PlanReading extends NamespaceContent {
  readonly documents: DocumentReader;
}

/** A manifest that is here with its config, and what leads to it. */
interface Found {
  readonly document: PlannedDocument;
  readonly blobs: readonly Descriptor[];
  /** Not what is beside the images of an index: attestations, signatures. */
  readonly isImage: boolean;
  /** What its index says that it is for. */
  readonly name: readonly string[];
}

const maxDepth = 4;
/** Of all indexes of an image together. */
const mostManifests = 1000;
/** Configs and layers of all of them. */
const mostBlobs = 20_000;
/** How many platforms a message names. */
const shown = 20;

/**
 * Reads what an image consists of, from the content store alone. FAILED_PRECONDITION where not all of what is wanted is
 * here, with the platforms that lack; NOT_FOUND for a platform that the image has not.
 */
export async function planPush(
  reading: PlanReading,
  target: Descriptor,
  choice: PlatformChoice,
  call: Cancellable,
): Promise<PushPlan> {
  return new Planner(reading, call).plan(target, choice);
}

class Planner {
  readonly #reading: PlanReading;
  readonly #call: Cancellable;
  readonly #found: Found[] = [];
  readonly #indexes: PlannedDocument[] = [];
  readonly #seen = new Set<Digest>();
  #blobs = 0;
  readonly #missing: string[] = [];
  readonly #offered: { readonly descriptor: Descriptor; readonly found: Found | undefined }[] = [];

  constructor(reading: PlanReading, call: Cancellable) {
    this.#reading = reading;
    this.#call = call;
  }

  async plan(target: Descriptor, { platform, allPlatforms }: PlatformChoice): Promise<PushPlan> {
    const [root, parsed] = await this.#read(target);
    if (parsed.kind === "manifest") {
      const lacking = this.#lacking(parsed);
      if (lacking !== undefined) throw notHere(lacking);
      if (platform) await this.#checkPlatform(parsed, platform);
      return planOf(
        root,
        [{ document: root, blobs: blobsOf(parsed), isImage: true, name: [] }],
        [],
        [],
      );
    }
    await this.#follow(parsed, 1);
    if (platform) return this.#one(platform);
    if (this.#missing.length === 0) return planOf(root, this.#found, this.#indexes, []);
    const here = this.#found.filter(({ isImage }) => isImage);
    const [only, ...others] = here;
    const left = this.#missing;
    if (allPlatforms === true || others.length > 0 || only === undefined) {
      const names = listOf(here.flatMap(({ name }) => name));
      const help =
        names === ""
          ? "pull the image again"
          : `with --platform one that is here is pushed (${names}), or pull the others`;
      throw fault(
        "FAILED_PRECONDITION",
        `not all of the image is on this node: ${listOf(left)}${left.length === 1 ? " is" : " are"} missing; ${help}`,
      );
    }
    return planOf(only.document, [only], [], left);
  }

  /** What a manifest is for only its config tells; what is no image is for none. */
  async #checkPlatform({ config }: Manifest, platform: Platform): Promise<void> {
    if (!isImageConfig(config.mediaType)) return;
    const what = `config "${config.digest}"`;
    const bytes = await this.#bytesOf(config.digest);
    const task = { kind: "image", bytes, what, mediaType: config.mediaType } as const;
    const { platform: has } = await this.#reading.documents.read(task, this.#call);
    if (platformFit(platform, has) === 0) return;
    throw fault(
      "NOT_FOUND",
      `the image has nothing for ${platformName(platform)}, only for ${platformName(has)}`,
    );
  }

  #one(platform: Platform): PushPlan {
    const fits = this.#offered.filter(
      ({ descriptor }) => descriptor.platform && platformFit(platform, descriptor.platform) === 0,
    );
    const [first] = fits;
    if (!first) {
      const have = this.#offered.flatMap(({ descriptor }) => nameOf(descriptor));
      throw fault(
        "NOT_FOUND",
        `the image has nothing for ${platformName(platform)}, only for ${listOf(have) || "none"}`,
      );
    }
    const found = fits.find((one) => one.found)?.found;
    if (!found) {
      throw fault(
        "FAILED_PRECONDITION",
        `what the image has for ${platformName(platform)} is not on this node`,
      );
    }
    const left = this.#offered.filter((one) => one.found !== found);
    return planOf(
      found.document,
      [found],
      [],
      left.flatMap(({ descriptor }) => nameOf(descriptor)),
    );
  }

  async #follow(index: Index, depth: number): Promise<void> {
    if (depth > maxDepth)
      throw fault("FAILED_PRECONDITION", "the image's indexes are nested too deeply");
    this.#missing.push(...index.broken.map(({ platform }) => platformName(platform)));
    for (const descriptor of index.manifests) {
      if (this.#seen.has(descriptor.digest)) continue;
      this.#seen.add(descriptor.digest);
      if (this.#seen.size > mostManifests) {
        throw fault("RESOURCE_EXHAUSTED", `the image has more than ${mostManifests} manifests`);
      }
      await this.#entry(descriptor, depth);
    }
  }

  async #entry(descriptor: Descriptor, depth: number): Promise<void> {
    const isOther = !isKnownManifest(descriptor.mediaType) && descriptor.mediaType !== "";
    if (isOther || !this.#isHere(descriptor.digest)) {
      this.#missing.push(...nameOf(descriptor));
      this.#offered.push({ descriptor, found: undefined });
      return;
    }
    const [document, parsed] = await this.#read(descriptor);
    if (parsed.kind === "index") {
      await this.#follow(parsed, depth + 1);
      this.#indexes.push(document);
      return;
    }
    const isWhole = this.#lacking(parsed) === undefined;
    const isImage = descriptor.platform?.architecture !== "unknown";
    const found = { document, blobs: blobsOf(parsed), isImage, name: nameOf(descriptor) };
    this.#blobs += found.blobs.length;
    if (this.#blobs > mostBlobs) {
      throw fault("RESOURCE_EXHAUSTED", `the image has more than ${mostBlobs} layers`);
    }
    if (isWhole) this.#found.push(found);
    else this.#missing.push(...nameOf(descriptor));
    this.#offered.push({ descriptor, found: isWhole ? found : undefined });
  }

  /** The config's digest where it is not here. A layer may be taken from the registry itself. */
  #lacking({ config }: Manifest): Digest | undefined {
    return this.#isHere(config.digest) ? undefined : config.digest;
  }

  #isHere(digest: Digest): boolean {
    const { content, namespace } = this.#reading;
    return content.info(namespace, digest) !== undefined;
  }

  async #read(descriptor: Descriptor): Promise<[PlannedDocument, Index | Manifest]> {
    const { content, documents } = this.#reading;
    const { digest } = descriptor;
    const bytes = await this.#bytesOf(digest);
    const what = `manifest "${digest}"`;
    const task = { kind: "type", bytes, what, mediaType: descriptor.mediaType } as const;
    const mediaType = await documents.read(task, this.#call);
    const parsed = await documents.read({ kind: "manifest", bytes, what, mediaType }, this.#call);
    const read = (call: Cancellable): Promise<Buffer> => content.read(digest, call);
    return [{ digest, mediaType, size: bytes.length, read }, parsed];
  }

  async #bytesOf(digest: Digest): Promise<Buffer> {
    const { content, namespace } = this.#reading;
    const info = content.info(namespace, digest);
    if (!info) throw notHere(digest);
    if (info.sizeBytes > BigInt(maxDocumentBytes)) {
      throw fault("RESOURCE_EXHAUSTED", `document "${digest}" has ${info.sizeBytes} bytes`);
    }
    return content.read(digest, this.#call);
  }
}

function planOf(
  root: PlannedDocument,
  found: readonly Found[],
  indexes: readonly PlannedDocument[],
  left: readonly string[],
): PushPlan {
  const blobs = new Map<Digest, Descriptor>();
  for (const blob of found.flatMap((one) => one.blobs)) {
    if (!blobs.has(blob.digest)) blobs.set(blob.digest, blob);
  }
  const below = [...found.map(({ document }) => document), ...indexes];
  const documents = below.filter(({ digest }) => digest !== root.digest);
  return { root, documents, blobs: [...blobs.values()], left };
}

function blobsOf({ config, layers }: Manifest): readonly Descriptor[] {
  return [config, ...layers];
}

function nameOf({ platform, digest }: Descriptor): string[] {
  return [platform ? platformName(platform) : digest];
}

function listOf(names: readonly string[]): string {
  const all = [...new Set(names)];
  const rest = all.length - shown;
  const told = all.slice(0, shown).join(", ");
  return rest > 0 ? `${told} and ${rest} more` : told;
}

function notHere(digest: Digest): Error {
  return fault("FAILED_PRECONDITION", `"${digest}" is not on this node: pull the image again`);
}
