// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import path from "node:path";
import { parse, TomlError } from "smol-toml";
import { z } from "zod";
import { errnoOf, fault } from "../../base/errors.ts";

/** One server that may be asked for an image. */
export interface RegistryHost {
  /** Everything before `/<repository>/manifests/…`: `https://registry-1.docker.io/v2`. */
  readonly base: string;
  readonly canResolve: boolean;
  readonly canPull: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsFiles;
  readonly connectTimeoutMs: number;
  /** True for a stand-in of the registry: it is told which registry is meant. */
  readonly isMirror: boolean;
}

export interface TlsFiles {
  readonly skipVerify: boolean;
  /** PEM files with further authorities. */
  readonly ca: readonly string[];
  /** Pairs of certificate and key file; the key may be in the certificate's file. */
  readonly client: readonly (readonly [cert: string, key: string])[];
}

const defaultConnectTimeoutMs = 30_000;

const oneOrMore = z.union([z.string(), z.array(z.string())]);
const clientFiles = z.union([
  z.string(),
  z.array(z.union([z.string(), z.array(z.string()).min(1).max(2)])),
]);
const hostFields = {
  capabilities: z.array(z.enum(["pull", "resolve", "push"])).optional(),
  ca: oneOrMore.optional(),
  client: clientFiles.optional(),
  skip_verify: z.boolean().optional(),
  header: z.record(z.string(), oneOrMore).optional(),
  override_path: z.boolean().optional(),
  dial_timeout: z.string().optional(),
};
// The format is containerd's and grows: keys we do not know are left to those who do.
const hostSchema = z.object(hostFields);
const fileSchema = z.object({
  server: z.string().optional(),
  ...hostFields,
  host: z.record(z.string(), hostSchema).optional(),
});
type HostTable = z.infer<typeof hostSchema>;

/**
 * The servers to ask for images of a registry, in order, from `<configPath>/<domain>/hosts.toml` or
 * `_default`. Without a file it is the registry itself: https, but plain http on the loopback.
 * FAILED_PRECONDITION for a file that cannot be understood. Read anew each time: edits count at once.
 */
export async function registryHosts(configPath: string, domain: string): Promise<RegistryHost[]> {
  for (const folder of configPath === "" ? [] : candidateFolders(domain)) {
    const dir = path.join(configPath, folder);
    const text = await readIfPresent(path.join(dir, "hosts.toml"));
    if (text !== undefined) return parseHosts(text, dir, domain);
  }
  return [serverOf(undefined, domain, {}, "/")];
}

/** Exported for tests: the servers that the text of a hosts.toml in `dir` names. */
export function parseHosts(text: string, dir: string, domain: string): RegistryHost[] {
  const file = readTable(text, path.join(dir, "hosts.toml"));
  const mirrors = Object.entries(file.host ?? {}).map(([url, table]) =>
    hostOf(url, table, dir, true),
  );
  return [...mirrors, serverOf(file.server, domain, file, dir)];
}

function candidateFolders(domain: string): string[] {
  const colon = domain.lastIndexOf(":");
  const withPort =
    colon > 0 && !domain.endsWith("]")
      ? [`${domain.slice(0, colon)}_${domain.slice(colon + 1)}_`, domain.replace(/:(?=\d+$)/, "_")]
      : [];
  return [...withPort, domain, "_default"];
}

function serverOf(
  server: string | undefined,
  domain: string,
  table: HostTable,
  dir: string,
): RegistryHost {
  const host = domain === "docker.io" ? "registry-1.docker.io" : domain;
  return hostOf(server ?? host, table, dir, false);
}

function hostOf(text: string, table: HostTable, dir: string, isMirror: boolean): RegistryHost {
  const capabilities = table.capabilities ?? ["pull", "resolve"];
  const headers = Object.entries(table.header ?? {}).map(([name, value]) => [
    name.toLowerCase(),
    Array.isArray(value) ? value.join(", ") : value,
  ]);
  return {
    base: baseUrl(text, table.override_path === true),
    canResolve: capabilities.includes("resolve"),
    canPull: capabilities.includes("pull"),
    headers: Object.fromEntries(headers) as Record<string, string>,
    tls: {
      skipVerify: table.skip_verify === true,
      ca: asList(table.ca).map((file) => path.resolve(dir, file)),
      client: clientPairs(table.client).map(([cert, key]) => [
        path.resolve(dir, cert),
        path.resolve(dir, key),
      ]),
    },
    connectTimeoutMs: durationMs(table.dial_timeout) ?? defaultConnectTimeoutMs,
    isMirror,
  };
}

/** The durations that people write there: "500ms", "5s", "1m". */
function durationMs(text: string | undefined): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text ?? "");
  if (!match) return undefined;
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] as "ms" | "s" | "m"];
}

function baseUrl(text: string, keepsPath: boolean): string {
  let url: URL;
  try {
    url = new URL(/^https?:\/\//.test(text) ? text : `${defaultScheme(text)}://${text}`);
  } catch (error) {
    throw fault("FAILED_PRECONDITION", `"${text}" is not a registry's address`, { cause: error });
  }
  const base = `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
  return keepsPath || base.endsWith("/v2") ? base : `${base}/v2`;
}

/** http for the loopback, where registries for tests and caches live without certificates. */
function defaultScheme(host: string): "http" | "https" {
  const name = host.replace(/\/.*$/, "").replace(/:\d+$/, "");
  return name === "localhost" || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name)
    ? "http"
    : "https";
}

function readTable(text: string, file: string): z.infer<typeof fileSchema> {
  try {
    return fileSchema.parse(parse(text));
  } catch (error) {
    if (error instanceof z.ZodError) {
      const [issue] = error.issues;
      throw fault("FAILED_PRECONDITION", `${file}: ${issue?.path.join(".")}: ${issue?.message}`, {
        cause: error,
      });
    }
    if (error instanceof TomlError) {
      throw fault("FAILED_PRECONDITION", `${file}:${error.line}: not TOML`, { cause: error });
    }
    throw error;
  }
}

function clientPairs(client: z.infer<typeof clientFiles> | undefined): [string, string][] {
  return asList<string | string[]>(client).map((entry) => {
    const [cert = "", key = cert] = asList(entry);
    return [cert, key];
  });
}

function asList<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw fault("FAILED_PRECONDITION", `cannot read ${file}`, { cause: error });
  }
}
