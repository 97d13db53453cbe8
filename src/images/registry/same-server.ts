// SPDX-License-Identifier: Apache-2.0

/**
 * Whether what is for the server at `from` may go to `to`: the same origin, or the same host over TLS, at the same port
 * or at each scheme's own, as servers of plain http send everybody on.
 */
export function isSameServer(from: URL, to: URL): boolean {
  if (from.origin === to.origin) return true;
  const isUpgrade = from.protocol === "http:" && to.protocol === "https:";
  return isUpgrade && from.host === to.host;
}
