// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { shortened } from "../../base/shortened.ts";
import type { PodSandbox, ValidateContainerAdjustmentRequest } from "../messages.ts";
import { effectiveAnnotation } from "./effective-annotation.ts";
import type { ValidatorRules } from "./validator-rules.ts";

const requiredPluginsAnnotation = "required-plugins.noderesource.dev";

/** As Go's strconv.ParseBool has them. */
const truths = new Map<string, boolean>([
  ...["1", "t", "T", "TRUE", "true", "True"].map((word) => [word, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word) => [word, false] as const),
]);

/** Of an annotation that a pod's author writes: so much is read. */
const longestList = 4096;

/**
 * The plugins, as `name` or `10-name`, that had to be asked about this container and were not: those that the rules
 * require, and those of the pod's annotation. FAILED_PRECONDITION for an annotation that is no list, or no truth value.
 */
export function missingPlugins(
  rules: Pick<ValidatorRules, "requiredPlugins" | "tolerateMissingPluginsAnnotation">,
  { pod, container, plugins }: ValidateContainerAdjustmentRequest,
): string[] {
  const name = container?.name ?? "";
  if (toleratesMissing(rules.tolerateMissingPluginsAnnotation, pod, name)) return [];
  const listed = effectiveAnnotation(pod, requiredPluginsAnnotation, name);
  const required = [...rules.requiredPlugins, ...(listed === undefined ? [] : namesOf(listed))];
  const known = new Set(plugins.flatMap((one) => [one.name, `${one.index}-${one.name}`]));
  return [...new Set(required)].filter((one) => !known.has(one));
}

/**
 * Whether a pod says by the annotation `key` ("" for none) that a container is made without plugins that are required.
 * FAILED_PRECONDITION for what is no truth value.
 */
export function toleratesMissing(key: string, pod: PodSandbox | null, container: string): boolean {
  const value = key === "" ? undefined : effectiveAnnotation(pod, key, container);
  if (value === undefined) return false;
  const tolerates = truths.get(value);
  if (tolerates === undefined) throw badAnnotation(key, value, "is not true or false");
  return tolerates;
}

/** A YAML list of names: `[a, "b"]`, or lines of `- a`. */
function namesOf(text: string): string[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  const names = text.length > longestList ? undefined : (inBrackets(trimmed) ?? inLines(trimmed));
  if (names === undefined) {
    throw badAnnotation(requiredPluginsAnnotation, text, "is no list such as [a, 10-b]");
  }
  return names;
}

function inBrackets(text: string): string[] | undefined {
  if (!text.startsWith("[") || !text.endsWith("]")) return undefined;
  const inside = text.slice(1, -1).replace(/,\s*$/, "");
  return inside.trim() === "" ? [] : allNames(inside.split(","));
}

function inLines(text: string): string[] | undefined {
  const items: string[] = [];
  for (const line of text.split("\n")) {
    const plain = line.replace(/(^|\s)#.*$/, "").trim();
    if (plain === "" || plain === "---") continue;
    if (!/^-\s/.test(plain)) return undefined;
    items.push(plain.slice(1));
  }
  return allNames(items);
}

/** Without quotes; undefined when one is no name that a plugin can have. */
function allNames(items: readonly string[]): string[] | undefined {
  const names = items.map((item) => item.trim().replace(/^(["'])(.*)\1$/, "$2"));
  return names.every((name) => /^[\w.+-]+$/.test(name)) ? names : undefined;
}

function badAnnotation(key: string, value: string, problem: string): Error {
  const text = JSON.stringify(shortened(value, 256));
  return fault("FAILED_PRECONDITION", `annotation ${key} of the pod ${problem}: ${text}`);
}
