// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { Digest } from "../../content/ports.ts";
import type { RegistryAuth } from "../ports.ts";

/** A security profile that was pulled as an OCI artifact. It is no image. */
export interface PulledProfile {
  /** Of the artifact's manifest: by it the profile is removed. */
  readonly digest: Digest;
  /** Of the profile's own text. */
  readonly blob: Digest;
  readonly sizeBytes: number;
  /** The names it was pulled by, as they were given. */
  readonly refs: readonly string[];
}

/** Security profiles of one namespace. */
export interface SecurityProfiles {
  list(): readonly PulledProfile[];
  /**
   * Fetches the profile of a reference with a digest, unless it is here; answers whether it was. INVALID_ARGUMENT and
   * FAILED_PRECONDITION with a message that begins with `SecurityProfileInvalid` for a reference without a digest and
   * an artifact that holds no usable profile; RESOURCE_EXHAUSTED when there are too many; else the errors of a pull.
   */
  pull(
    reference: string,
    options: { readonly auth?: RegistryAuth } & Cancellable,
  ): Promise<{ readonly cached: boolean }>;
  /** The text of the profile that was pulled by this name; NOT_FOUND when there is none. */
  read(reference: string, call: Cancellable): Promise<Buffer>;
  /** Forgets a profile with all its names; no error when there is none. */
  remove(digest: string): Promise<void>;
}
