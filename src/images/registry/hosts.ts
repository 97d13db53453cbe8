// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { shortened } from "../../base/shortened.ts";
import { trimEndOf } from "../../base/trim-end.ts";
import { certificatesIn, hostFolders, sharedFolder } from "./host-folders.ts";
import { type HostHeaders, hostHeaders } from "./host-headers.ts";
import { clientPairs, type HostTable, listOf, readHostsFile } from "./hosts-file.ts";
import { isLoopback } from "./loopback.ts";
import { isSameRegistry } from "./registry-name.ts";

const maxConfBytes = 16 * 1024 * 1024;

/** One server that may be asked for an image. */
export interface RegistryHost {
  /** Everything before `/<repository>/manifests/…`: `https://registry-1.docker.io/v2`. */
  readonly base: string;
  readonly canResolve: boolean;
  readonly canPull: boolean;
  readonly canPush: boolean;
  readonly headers: HostHeaders;
  readonly tls: TlsFiles;
  readonly connectTimeoutMs: number;
  /** True for a server of another name than the registry's: requests name the registry in `ns`. */
  readonly isMirror: boolean;
  /** True for the registry itself: by its name, or because its own file says where it is. */
  readonly isOrigin: boolean;
  /** Base of the same server over TLS, where this one is only asked if that speaks none. */
  readonly plainOf?: string;
}

export interface TlsFiles {
  /** The hosts.toml that names them; absent for those that lie beside each other as Docker has them. */
  readonly named?: string;
  readonly skipVerify: boolean;
  /** Skips it for this server alone, and not for those that it redirects to. */
  readonly isUnverifiedHere?: boolean;
  /** PEM files with further authorities. */
  readonly ca: readonly string[];
  /** Pairs of certificate and key file; the key may be in the certificate's file. */
  readonly client: readonly (readonly [cert: string, key: string])[];
}

const defaultConnectTimeoutMs = 30_000;
/** Until what says nothing to TLS is asked without, and on a loopback long enough. */
const eitherTimeoutMs = 10_000;

/** Takes what is passed over in a hosts.toml: a whole sentence with its file. */
export type Warn = (sentence: string, about: "key" | "capability") => void;

/**
 * The servers to ask for images of a registry, in order, from the first folder of `configPath` ("A:B") that tells of
 * it: `<domain>/` with a hosts.toml, or with certificates alone as Docker has them (`*.crt`, `*.cert`, `*.key`), then
 * `_default/`. Without one it is the registry itself: https, but either on the loopback. FAILED_PRECONDITION for
 * a file that cannot be understood. Read anew each time: edits count at once.
 */
export async function registryHosts(
  configPath: string,
  domain: string,
  warn: Warn = () => {},
): Promise<RegistryHost[]> {
  for (const root of configPath.split(":").filter((part) => part !== "")) {
    for (const dir of await hostFolders(root, domain)) {
      const text = await readIfPresent(path.join(dir, "hosts.toml"));
      if (text) return parseHosts(text, dir, domain, warn);
      const certificates = await certificatesIn(dir);
      if (certificates || text === "")
        return serverOf({ domain, dir, warn }, "", certificates ?? {});
    }
  }
  return serverOf({ domain, dir: "/", warn }, "", {});
}

/** Exported for tests: the servers that the text of a hosts.toml in `dir` names. */
export function parseHosts(
  text: string,
  dir: string,
  domain: string,
  warn: Warn = () => {},
): RegistryHost[] {
  const named = path.join(dir, "hosts.toml");
  const file = readHostsFile(text, named, (sentence) => warn(sentence, "key"));
  const place = { domain, dir, warn, named };
  const mirrors = Object.entries(file.host ?? {}).flatMap(([url, table]) =>
    hostOf(place, url, table, false),
  );
  return [...mirrors, ...serverOf(place, file.server ?? "", file)];
}

interface Place {
  readonly domain: string;
  readonly dir: string;
  readonly warn: Warn;
  /** The hosts.toml, where there is one. */
  readonly named?: string;
}

/** `server` is "" for the registry itself. */
function serverOf(place: Place, server: string, table: HostTable): RegistryHost[] {
  const isHub = place.domain.toLowerCase() === "docker.io";
  const host = isHub ? "registry-1.docker.io" : place.domain;
  // The server for all registries without a folder of their own is none of them itself.
  const isOwn = path.basename(place.dir) !== sharedFolder;
  const at = server || host;
  return server === "" && !hasTls(table) && isEitherWay(at)
    ? hostOf(place, at, { ...table, skip_verify: true }, isOwn).map(unverified)
    : hostOf(place, at, table, isOwn);
}

/**
 * As containerd has it: a registry on a port of the loopback that nothing else is said of may speak TLS, with whatever
 * certificate, or none.
 */
function isEitherWay(host: string): boolean {
  const url = URL.parse(`http://${host}`);
  return url !== null && isLoopback(url.hostname) && url.port !== "";
}

function unverified(host: RegistryHost): RegistryHost {
  const connectTimeoutMs = Math.min(host.connectTimeoutMs, eitherTimeoutMs);
  return { ...host, connectTimeoutMs, tls: { ...host.tls, isUnverifiedHere: true } };
}

function hostOf(place: Place, text: string, table: HostTable, isServer: boolean): RegistryHost[] {
  const { domain, dir, named } = place;
  const base = baseUrl(text, table.override_path === true, dir);
  const isNamed = isSameRegistry(domain, new URL(base));
  const host: RegistryHost = {
    base,
    ...abilities(place, table.capabilities ?? []),
    headers: hostHeaders(table.header),
    tls: {
      ...(named !== undefined && { named }),
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
  const secured = securedBase(text, base, table);
  return secured === undefined
    ? [host]
    : [
        { ...host, base: secured },
        { ...host, plainOf: secured },
      ];
}

/** Words of other versions, such as `referrers`, are passed over; no word at all means all of them. */
function abilities(
  { dir, warn }: Place,
  words: readonly string[],
): Pick<RegistryHost, "canResolve" | "canPull" | "canPush"> {
  const known = words.map((word) => word.toLowerCase());
  for (const word of known.filter((one) => !["pull", "resolve", "push"].includes(one))) {
    const file = path.join(dir, "hosts.toml");
    warn(
      `${file}: capability "${shortened(word, 100)}" is not known, it is passed over`,
      "capability",
    );
  }
  const can = (word: string): boolean => known.length === 0 || known.includes(word);
  return { canResolve: can("resolve"), canPull: can("pull"), canPush: can("push") };
}

/**
 * The same server over TLS, which is tried first: settings of TLS beside an address of plain http say that the port
 * may speak either, as containerd has it. Plain http is only for a port that turns out to speak no TLS: a certificate
 * that is wrong must not lead to a login in the clear. Port 80, written or meant by `http://`, is plain.
 */
function securedBase(text: string, base: string, table: HostTable): string | undefined {
  if (!hasTls(table)) return undefined;
  const url = new URL(base);
  if (url.protocol !== "http:") return undefined;
  const isPlainPort = url.port === "" && (/^http:/i.test(text) || /:80(\/|$)/.test(text));
  return isPlainPort ? undefined : base.replace(/^http:/, "https:");
}

function hasTls({ skip_verify, ca, client }: HostTable): boolean {
  return skip_verify !== undefined || listOf(ca).length > 0 || clientPairs(client).length > 0;
}

function baseUrl(text: string, keepsPath: boolean, dir: string): string {
  const scheme = /^([a-z][\w+.-]*):\/\//i.exec(text)?.[1] ?? "https";
  if (!/^https?$/i.test(scheme)) {
    throw fault(
      "FAILED_PRECONDITION",
      `${path.join(dir, "hosts.toml")}: "${shortened(text, 300)}": a registry is asked by http or https, not by "${shortened(scheme, 50)}"`,
    );
  }
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `${defaultScheme(text)}://${text}`);
  if (url === null) {
    const file = path.join(dir, "hosts.toml");
    throw fault(
      "FAILED_PRECONDITION",
      `${file}: "${shortened(text, 300)}" is not a registry's address`,
    );
  }
  // Each slash counts as one, as containerd has it.
  const base = `${url.origin}${trimEndOf(path.posix.normalize(url.pathname), "/")}`;
  return keepsPath || base.endsWith("/v2") ? base : `${base}/v2`;
}

/** http for the loopback, where registries for tests and caches live without certificates. */
function defaultScheme(host: string): "http" | "https" {
  const [authority = ""] = host.split("/", 1);
  const name = URL.parse(`http://${authority}`)?.hostname ?? "";
  return isLoopback(name) ? "http" : "https";
}

async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    return String(await readBounded(file, maxConfBytes, { follow: true }));
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw fault("FAILED_PRECONDITION", `cannot read ${file}`, { cause: error });
  }
}
