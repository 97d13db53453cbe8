// SPDX-License-Identifier: Apache-2.0
import type { PodSandbox } from "../messages.ts";

/** A pod's annotation as it holds for one container: of `KEY/container.NAME`, `KEY/pod` and `KEY` the first that is there. */
export function effectiveAnnotation(
  pod: PodSandbox | null,
  key: string,
  container: string,
): string | undefined {
  const annotations = pod?.annotations ?? {};
  const keys = [`${key}/container.${container}`, `${key}/pod`, key];
  const found = keys.find((name) => Object.hasOwn(annotations, name));
  return found === undefined ? undefined : annotations[found];
}
