// SPDX-License-Identifier: Apache-2.0

/** Cuts bytes as a network might: at the given places, modulo the length. The pieces are copies. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const edges = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [...edges, bytes.length].map((edge, index) =>
    Buffer.from(bytes.subarray(edges[index - 1] ?? 0, edge)),
  );
}
