// SPDX-License-Identifier: Apache-2.0

/** Without what is undefined, as a document lacks it. */
export function present<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
