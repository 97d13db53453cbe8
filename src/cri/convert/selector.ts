// SPDX-License-Identifier: Apache-2.0

/** True when the labels hold every pair of the selector. */
export function labelsMatch(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>> | undefined,
): boolean {
  return Object.entries(selector ?? {}).every(([name, value]) => labels[name] === value);
}

/** True when no id is asked for, or the wanted one begins this one. */
export function idMatches(id: string, wanted: string | undefined): boolean {
  return wanted === undefined || id.startsWith(wanted);
}
