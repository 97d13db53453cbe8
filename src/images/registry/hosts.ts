// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { shortened } from "../../base/shortened.ts";
import { trimEndOf } from "../../base/trim-end.ts";
import { clientPairs, type HostTable, listOf, readHostsFile } from "./hosts-file.ts";
import { isSameRegistry } from "./registry-name.ts";

const maxConfBytes = 16 * 1024 * 1024;

/** One server that may be asked for an image. */
export interface RegistryHost {
  /** Everything before `/<repository>/manifests/…`: `https://registry-1.docker.io/v2`. */
  readonly base: string;
  readonly canResolve: boolean;
  readonly canPull: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsFiles;
  readonly connectTimeoutMs: number;
  /** True for a server of another name than the registry's: requests name the registry in `ns`. */
  readonly isMirror: boolean;
  /** True for the registry itself: by its name, or because its own file says where it is. */
  readonly isOrigin: boolean;
}

export interface TlsFiles {
  readonly skipVerify: boolean;
  /** PEM files with further authorities. */
  readonly ca: readonly string[];
  /** Pairs of certificate and key file; the key may be in the certificate's file. */
  readonly client: readonly (readonly [cert: string, key: string])[];
}

const defaultConnectTimeoutMs = 30_000;
const sharedFolder = "_default";

/**
 * The servers to ask for images of a registry, in order, from `<domain>/hosts.toml` or `_default` in the
 * first folder of `configPath` ("A:B") that has one. Without a file it is the registry itself: https, but
 * plain http on the loopback. FAILED_PRECONDITION for a file that cannot be understood. Read anew each
 * time: edits count at once.
 */
export async function registryHosts(configPath: string, domain: string): Promise<RegistryHost[]> {
  for (const root of configPath.split(":").filter((part) => part !== "")) {
    for (const folder of candidateFolders(domain)) {
      const dir = path.join(root, folder);
      const text = await readIfPresent(path.join(dir, "hosts.toml"));
      if (text !== undefined) return parseHosts(text, dir, domain);
    }
  }
  return [serverOf({ domain, dir: "/" }, undefined, {})];
}

/** Exported for tests: the servers that the text of a hosts.toml in `dir` names. */
export function parseHosts(text: string, dir: string, domain: string): RegistryHost[] {
  const file = readHostsFile(text, path.join(dir, "hosts.toml"));
  const place = { domain, dir };
  const mirrors = Object.entries(file.host ?? {}).map(([url, table]) =>
    hostOf(place, url, table, false),
  );
  return [...mirrors, serverOf(place, file.server, file)];
}

interface Place {
  readonly domain: string;
  readonly dir: string;
}

function candidateFolders(domain: string): string[] {
  const colon = domain.lastIndexOf(":");
  const withPort =
    colon > 0 && !domain.endsWith("]")
      ? [`${domain.slice(0, colon)}_${domain.slice(colon + 1)}_`, domain.replace(/:(?=\d+$)/, "_")]
      : [];
  return [...withPort, domain, sharedFolder];
}

function serverOf(place: Place, server: string | undefined, table: HostTable): RegistryHost {
  const host = place.domain === "docker.io" ? "registry-1.docker.io" : place.domain;
  // The server for all registries without a folder of their own is none of them itself.
  const isOwn = path.basename(place.dir) !== sharedFolder;
  return hostOf(place, server ?? host, table, isOwn);
}

function hostOf(
  { domain, dir }: Place,
  text: string,
  table: HostTable,
  isServer: boolean,
): RegistryHost {
  const capabilities = table.capabilities ?? ["pull", "resolve"];
  const headers = Object.entries(table.header ?? {}).map(([name, value]) => [
    name.toLowerCase(),
    Array.isArray(value) ? value.join(", ") : value,
  ]);
  const base = baseUrl(text, table.override_path === true, dir);
  const isNamed = isSameRegistry(domain, new URL(base));
  return {
    base,
    canResolve: capabilities.includes("resolve"),
    canPull: capabilities.includes("pull"),
    headers: Object.fromEntries(headers) as Record<string, string>,
    tls: {
      skipVerify: table.skip_verify === true,
      ca: listOf(table.ca).map((file) => path.resolve(dir, file)),
      client: clientPairs(table.client).map(([cert, key]) => [
        path.resolve(dir, cert),
        path.resolve(dir, key),
      ]),
    },
    connectTimeoutMs: table.dial_timeout || defaultConnectTimeoutMs,
    isMirror: !isServer && !isNamed,
    isOrigin: isServer || isNamed,
  };
}

function baseUrl(text: string, keepsPath: boolean, dir: string): string {
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `${defaultScheme(text)}://${text}`);
  if (url === null) {
    const file = path.join(dir, "hosts.toml");
    throw fault(
      "FAILED_PRECONDITION",
      `${file}: "${shortened(text, 300)}" is not a registry's address`,
    );
  }
  const base = `${url.origin}${trimEndOf(url.pathname, "/")}`;
  return keepsPath || base.endsWith("/v2") ? base : `${base}/v2`;
}

/** http for the loopback, where registries for tests and caches live without certificates. */
function defaultScheme(host: string): "http" | "https" {
  const [authority = ""] = host.split("/", 1);
  const name = authority.replace(/:\d{1,5}$/, "");
  return name === "localhost" || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name)
    ? "http"
    : "https";
}

async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    return String(await readBounded(file, maxConfBytes, { follow: true }));
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw fault("FAILED_PRECONDITION", `cannot read ${file}`, { cause: error });
  }
}
