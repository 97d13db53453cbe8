// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { Digest } from "../../content/ports.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { parsePlatform } from "../manifest/platform.ts";
import type { PushedImage, PushOptions } from "../ports.ts";
import { canonicalName, parseReference, type Reference } from "../reference.ts";
import { openPush, type RegistrySettings } from "../registry/open-registry.ts";
import { pushPlanned } from "./push-image.ts";
import { type PlanReading, planPush } from "./push-plan.ts";

/** What is pushed, and where to. */
export interface StoredTarget {
  readonly target: Descriptor;
  readonly reference: Reference;
}

export interface PushSettings extends PlanReading, Omit<RegistrySettings, "documents"> {
  /** Keeps blobs from collections while they are read. */
  readonly keep: (blobs: readonly Digest[]) => Promise<void>;
  readonly log: Logger;
}

/** Pushes an image of the store to a registry. Errors: those of `planPush` and `pushPlanned`. */
export async function pushStored(
  { target, reference }: StoredTarget,
  options: Omit<PushOptions, "signal" | "destination">,
  settings: PushSettings,
  call: Cancellable,
): Promise<PushedImage> {
  const startedAt = performance.now();
  const { platform = "", allPlatforms, nonDistributable = false, auth, onStep, onBytes } = options;
  if (platform !== "" && allPlatforms === true) {
    throw fault("INVALID_ARGUMENT", "either one platform is pushed, or all");
  }
  const choice = { allPlatforms, ...(platform !== "" && { platform: parsePlatform(platform) }) };
  await settings.keep([target.digest]);
  const plan = await planPush(settings, target, choice, call);
  const { root } = plan;
  if (reference.digest !== undefined && reference.digest !== root.digest) {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot push "${canonicalName(reference)}": what would be pushed is "${root.digest}"`,
    );
  }
  await settings.keep([...plan.documents, ...plan.blobs].map(({ digest }) => digest));
  using client = await openPush(reference, auth, settings);
  const { content, namespace } = settings;
  await pushPlanned(
    plan,
    {
      client,
      content,
      namespace,
      nonDistributable,
      ...(onStep && { onStep }),
      ...(onBytes && { onBytes }),
    },
    call,
  );
  const durationMs = Math.round(performance.now() - startedAt);
  const pushed = { name: canonicalName(reference), digest: root.digest, left: plan.left };
  settings.log.info({ image: pushed.name, digest: root.digest, durationMs }, "image pushed");
  return pushed;
}

/**
 * Where an image goes that is to be pushed under this name; undefined where it was asked for by its id. INVALID_ARGUMENT
 * for what is no name.
 */
export function destinationOf(text: string | undefined): Reference {
  if (text === undefined) {
    throw fault("INVALID_ARGUMENT", "an image by its id has no name to push to: give one, too");
  }
  return parseReference(text);
}
