// SPDX-License-Identifier: Apache-2.0

const dockerHub = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/** True when a host with port, as people write it, names the registry at `url`. */
export function isSameRegistry(name: string, url: URL): boolean {
  // Read with the same scheme, so that a default port may be written or not.
  const named = URL.parse(`${url.protocol}//${name}`);
  if (named === null) return false;
  return plain(named.host) === plain(url.host);
}

function plain(host: string): string {
  return dockerHub.includes(host) ? "docker.io" : host;
}
