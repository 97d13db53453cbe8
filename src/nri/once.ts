// SPDX-License-Identifier: Apache-2.0

/** What is made when it is first wanted, and then kept. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
