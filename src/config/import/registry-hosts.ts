// SPDX-License-Identifier: Apache-2.0
import { stringify } from "smol-toml";
import type { Entry } from "./rule.ts";

/** A hosts.toml that stands for what an old file said of a registry. */
export interface HostsToml {
  /** Of its folder in certs.d: the registry, or `_default`. */
  readonly registry: string;
  readonly text: string;
  /** It has a login in it, which nobody else should read. */
  readonly isSecret: boolean;
  /** The registry may be asked without TLS, too. */
  readonly isInsecure: boolean;
}

export interface RegistryHosts {
  readonly files: readonly HostsToml[];
  /** Keys that are taken care of here. */
  readonly taken: ReadonlySet<Entry>;
  /** What cannot be had by a hosts.toml: the key, and why. */
  readonly lost: readonly { readonly written: string; readonly reason: string }[];
}

interface Settings {
  readonly tls: Map<string, unknown>;
  readonly auth: Map<string, unknown>;
  /** CRI-O asks it over TLS with whatever certificate, and where that fails without. */
  isInsecure: boolean;
}

const pull = ["pull", "resolve"];
/** A host with its port: what has a folder in certs.d. */
const hostPattern =
  /^(?:[a-z0-9](?:[a-z0-9._-]{0,250}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** `registry.mirrors`, `registry.configs` and `registry.auths` of containerd before 2.0, and what CRI-O calls insecure. */
export function registryHosts(entries: readonly Entry[]): RegistryHosts {
  const mirrors = new Map<string, readonly string[]>();
  const settings = new Map<string, Settings>();
  const taken = new Set<Entry>();
  const lost: { written: string; reason: string }[] = [];
  const writtenOf = new Map<string, string>();
  for (const entry of entries) {
    const { canonical, value, written } = entry;
    const [root, part, kind, name = "", ...rest] = canonical;
    if (root === "crio" && part === "image" && kind === "insecure_registries") {
      for (const one of textsOf(value)) {
        of(settings, one).isInsecure = true;
        writtenOf.set(one, written);
      }
      taken.add(entry);
      continue;
    }
    if (root !== "cri" || part !== "registry" || kind === undefined) continue;
    const host = name.replaceAll("\u2215", "/");
    if (kind === "mirrors" && rest[0] === "endpoint") mirrors.set(host, textsOf(value));
    else if (kind === "configs" && rest[0] === "tls")
      of(settings, host).tls.set(rest[1] ?? "", value);
    else if (kind === "configs" && rest[0] === "auth")
      of(settings, host).auth.set(rest[1] ?? "", value);
    else if (kind === "auths") of(settings, hostOf(host)).auth.set(rest[0] ?? "", value);
    else if (kind === "headers") {
      lost.push({ written, reason: "headers belong into each registry's hosts.toml, as header" });
    } else continue;
    if (value !== "" && rest.at(-1) === "identitytoken")
      lost.push({
        written,
        reason:
          "an identity token is no header: give the kubelet a pull secret or a credential provider",
      });
    const registry = kind === "auths" ? hostOf(host) : host;
    if (!writtenOf.has(registry)) writtenOf.set(registry, written);
    taken.add(entry);
  }
  const names = new Set([...mirrors.keys(), ...settings.keys()]);
  const endpoints = new Set([...mirrors.values()].flat().map(hostOf));
  const files = [...names].flatMap((name) => {
    if (!mirrors.has(name) && endpoints.has(name)) return [];
    const written = writtenOf.get(name) ?? name;
    if (name !== "*" && !hostPattern.test(name)) {
      const reason = `"${name}" is no registry's host, which alone has a hosts.toml`;
      lost.push({ written, reason });
      return [];
    }
    const all = mirrors.get(name) ?? [];
    const usable = all.filter((one) => urlOf(one) !== undefined);
    for (const one of all)
      if (!usable.includes(one))
        lost.push({ written, reason: `"${one}" is no registry's address` });
    return [fileOf(name, usable, settings)];
  });
  return { files: files.filter(({ text }) => text !== ""), taken, lost };
}

function fileOf(
  name: string,
  endpoints: readonly string[],
  settings: ReadonlyMap<string, Settings>,
): HostsToml {
  const its = settings.get(name);
  const isInsecure = its?.isInsecure === true;
  const table = tableOf(its);
  const hosts: Record<string, unknown> = {};
  for (const endpoint of endpoints) {
    const url = urlOf(endpoint);
    if (url === undefined) continue;
    const told = tableOf(settings.get(url.host));
    const { header = headerOf(url) } = told;
    const hasPath = url.pathname !== "/";
    hosts[withoutUser(endpoint)] = {
      capabilities: pull,
      ...told,
      ...(header === undefined ? {} : { header }),
      ...(hasPath ? { override_path: true } : {}),
    };
  }
  const server = name === "docker.io" ? "registry-1.docker.io" : name;
  if (isInsecure) {
    // Beside an address of plain http with a port it has TLS tried first; 443 and 80 are two ports, each with its own.
    if (/:\d+$/.test(server)) table["skip_verify"] = true;
    else hosts[`https://${server}`] = { skip_verify: true };
  }
  if (Object.keys(hosts).length > 0) table["host"] = hosts;
  const registry = name === "*" ? "_default" : name;
  const scheme = isInsecure ? "http" : "https";
  const whole = registry === "_default" ? table : { server: `${scheme}://${server}`, ...table };
  const text = stringify(whole);
  return {
    registry,
    text: `${text.trimEnd()}\n`,
    isSecret: /authorization/i.test(text),
    isInsecure,
  };
}

function tableOf(settings: Settings | undefined): Record<string, unknown> {
  const table: Record<string, unknown> = {};
  const text = (map: Map<string, unknown> | undefined, key: string): string => {
    const value = map?.get(key);
    return typeof value === "string" ? value : "";
  };
  const [ca, cert, key] = ["ca_file", "cert_file", "key_file"].map((one) =>
    text(settings?.tls, one),
  );
  if (ca) table["ca"] = ca;
  if (cert) table["client"] = [key ? [cert, key] : [cert]];
  if (settings?.tls.get("insecure_skip_verify") === true) table["skip_verify"] = true;
  const [user, password] = [text(settings?.auth, "username"), text(settings?.auth, "password")];
  const auth =
    text(settings?.auth, "auth") ||
    (user === "" ? "" : Buffer.from(`${user}:${password}`).toString("base64"));
  if (auth !== "") table["header"] = { authorization: `Basic ${auth}` };
  return table;
}

/** Host and port of an endpoint or a name. */
function hostOf(endpoint: string): string {
  return urlOf(endpoint)?.host ?? endpoint;
}

function urlOf(endpoint: string): URL | undefined {
  return URL.parse(withScheme(endpoint)) ?? undefined;
}

function withScheme(endpoint: string): string {
  return /^https?:\/\//i.test(endpoint) ? endpoint : `https://${endpoint}`;
}

/** As it is written, but for a login: a hosts.toml has that in a header. */
function withoutUser(endpoint: string): string {
  const url = urlOf(endpoint);
  if (!url?.username && !url?.password) return withScheme(endpoint);
  url.username = "";
  url.password = "";
  return url.pathname === "/" ? url.origin : url.href;
}

function headerOf({ username, password }: URL): Record<string, string> | undefined {
  if (username === "" && password === "") return undefined;
  const login = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64");
  return { authorization: `Basic ${login}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function of(settings: Map<string, Settings>, name: string): Settings {
  const known = settings.get(name) ?? { tls: new Map(), auth: new Map(), isInsecure: false };
  settings.set(name, known);
  return known;
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

/** The text with each login taken out, to be shown. */
export function withoutLogins(text: string): string {
  return text
    .replaceAll(/(authorization = ")[^"]*/gi, "$1…")
    .replaceAll(/(:\/\/)[^"\s]*@/g, "$1…@")
    .replaceAll(/(")[^/"\s]*@/g, "$1…@");
}
