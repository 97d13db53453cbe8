// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { timeLimit } from "../../base/deadline.ts";
import { fault, isFault, toFault } from "../../base/errors.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { ContentStore } from "../../content/ports.ts";
import type { GarbageCollector } from "../../garbage/ports.ts";
import type { MetadataStore, RecordTable } from "../../metadata/ports.ts";
import { storeBytes } from "../image-source.ts";
import { DocumentReader } from "../manifest/document-reader.ts";
import type { RegistryAuth } from "../ports.ts";
import { parseReference, type Reference } from "../reference.ts";
import { openRegistry, type RegistrySettings } from "../registry/open-registry.ts";
import type { PulledProfile, SecurityProfiles } from "./ports.ts";
import { badRequest, type ProfileArtifact, readArtifact, unusable } from "./profile-artifact.ts";
import { profilesTable } from "./profile-records.ts";

export interface SecurityProfilesOptions extends Omit<RegistrySettings, "documents"> {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly garbage: GarbageCollector;
  readonly metadata: MetadataStore;
  /** Throws when a text is no profile that a container could have; a RuntimeFault when that cannot be told. */
  readonly check: (text: Buffer, call: Cancellable) => Promise<void>;
}

/** A profile is small: a registry that takes longer hangs. */
const pullMs = 120_000;
/** A kubelet removes what no pod names. */
const maxProfiles = 1024;
const maxRefs = 64;

/** Pulled profiles in the content store, whose records keep them over restarts and collections. */
export class StoredProfiles implements SecurityProfiles {
  readonly #options: SecurityProfilesOptions;
  readonly #table: RecordTable<PulledProfile>;
  readonly #documents = new DocumentReader();
  /** A record is read, changed and written by one call at a time. */
  readonly #changing = new Semaphore(1);

  constructor(options: SecurityProfilesOptions) {
    this.#options = options;
    this.#table = profilesTable(options.metadata);
    options.garbage.addRoots(options.namespace, () =>
      this.list().map(({ blob }) => ({ type: "content", id: blob })),
    );
  }

  list(): readonly PulledProfile[] {
    return this.#table.list(this.#options.namespace);
  }

  async pull(
    name: string,
    { auth, signal }: { readonly auth?: RegistryAuth } & Cancellable,
  ): Promise<{ readonly cached: boolean }> {
    const reference = pinned(name);
    using limit = timeLimit(pullMs, signal);
    if (await this.#know(reference.digest, name, limit)) return { cached: true };
    const artifact = await this.#fetch(reference, auth, limit);
    try {
      await this.#options.check(artifact.bytes, limit);
    } catch (error) {
      limit.signal.throwIfAborted();
      if (isFault(error, "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNAVAILABLE")) throw error;
      throw unusable(`"${name}" holds no seccomp profile: ${toFault(error).message}`, error);
    }
    await this.#store(name, artifact, limit);
    const { log } = this.#options;
    log.info({ profile: name, digest: artifact.manifest }, "security profile pulled");
    return { cached: false };
  }

  async read(name: string, call: Cancellable): Promise<Buffer> {
    const { content, namespace } = this.#options;
    const known = this.list().find(({ refs }) => refs.includes(name));
    if (known === undefined || !content.info(namespace, known.blob)) {
      throw fault("NOT_FOUND", `security profile "${name}" is not present on this node`);
    }
    return content.read(known.blob, call);
  }

  async remove(digest: string): Promise<void> {
    const { garbage, namespace } = this.#options;
    if (!this.#table.has(namespace, digest)) return;
    await this.#table.delete(namespace, digest);
    garbage.schedule(namespace);
  }

  /** Adds a name to the profile of that digest, if it is here. */
  async #know(digest: string | undefined, name: string, call: Cancellable): Promise<boolean> {
    const { content, namespace } = this.#options;
    using _turn = await this.#changing.acquire(call);
    const known = this.#table.get(namespace, digest ?? "");
    if (known === undefined || !content.info(namespace, known.blob)) return false;
    if (!known.refs.includes(name)) await this.#write({ ...known, refs: [...known.refs, name] });
    return true;
  }

  async #fetch(
    reference: Reference,
    auth: RegistryAuth | undefined,
    call: Cancellable,
  ): Promise<ProfileArtifact> {
    using client = await openRegistry(reference, auth, {
      ...this.#options,
      documents: this.#documents,
    });
    return await readArtifact(client, this.#documents, call);
  }

  async #store(
    name: string,
    { manifest, blob, bytes }: ProfileArtifact,
    call: Cancellable,
  ): Promise<void> {
    const { content, garbage, namespace } = this.#options;
    using _turn = await this.#changing.acquire(call);
    const refs = this.#table.get(namespace, manifest)?.refs ?? [];
    using _hold = await garbage.hold(namespace, call);
    await storeBytes({ content, namespace }, bytes, call);
    await this.#write({
      digest: manifest,
      blob,
      sizeBytes: bytes.length,
      refs: [...new Set([...refs, name])],
    });
  }

  async #write(profile: PulledProfile): Promise<void> {
    const { namespace } = this.#options;
    const { digest, refs } = profile;
    if (refs.length > maxRefs) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `security profile "${digest}" has ${maxRefs} names, which is as many as it can have`,
      );
    }
    if (!this.#table.has(namespace, digest) && this.list().length >= maxProfiles) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `this node has ${maxProfiles} security profiles, which is as many as it can have`,
      );
    }
    await this.#table.put(namespace, digest, profile);
  }
}

/** A tag may be another profile tomorrow. */
function pinned(name: string): Reference {
  let reference: Reference;
  try {
    reference = parseReference(name);
  } catch (error) {
    throw badRequest(toFault(error).message, error);
  }
  if (reference.digest === undefined) throw badRequest(`"${name}" has no digest`);
  return reference;
}
