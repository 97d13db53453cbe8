// SPDX-License-Identifier: Apache-2.0
import type { RequestOptions } from "node:https";
import path from "node:path";
import tls from "node:tls";
import { KubeConfig, loadYaml } from "@kubernetes/client-node";
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { KeptCredential } from "./kept-credential.ts";
import { ApiFailure } from "./problem.ts";

/** Where an API server is, and what is shown to it. */
export interface KubeAccess {
  /** Without a slash at its end. */
  readonly server: string;
  /** Certificates, headers, and the agent with its proxy. */
  readonly options: RequestOptions;
}

export interface KubeCall extends Cancellable {
  /** Where the next call finds what a program gave; without it the program runs. */
  readonly kept?: KeptCredential;
}

const mostBytes = 1 << 20;

/**
 * Reads a kubeconfig, and the files that it names, as they are now: certificates and tokens rotate. Signs of use are those
 * of the current context: certificates, tokens, a password, `exec`. ApiFailure "kubeconfig" for what cannot be used.
 */
export async function openKubeconfig(
  named: string | readonly string[],
  call: KubeCall,
): Promise<KubeAccess> {
  const files = typeof named === "string" ? [named] : named;
  let at = files.join(":");
  try {
    const parts: Part[] = [];
    for (const file of files) {
      at = file;
      const text = (await readBounded(file, mostBytes, { follow: true })).toString();
      parts.push(partOf(text, path.dirname(file)));
    }
    at = files.join(":");
    return await accessOf(parts, call);
  } catch (error) {
    call.signal.throwIfAborted();
    throw new ApiFailure("kubeconfig", `${at}: ${messageOf(error)}`);
  }
}

/** One of the files that are a kubeconfig together: of what several have, the first one's counts. */
interface Part {
  readonly raw: Record<string, unknown>;
  readonly config: KubeConfig;
  readonly folder: string;
}

function partOf(text: string, folder: string): Part {
  const raw: unknown = loadYaml(text);
  const lists = ["clusters", "users", "contexts"];
  if (!isRecord(raw) || !lists.some((list) => Array.isArray(raw[list])))
    throw new Error("it is no kubeconfig");
  const config = new KubeConfig();
  config.loadFromString(text);
  config.makePathsAbsolute(folder);
  return { raw, config, folder };
}

function firstOf<T>(parts: readonly Part[], of: (part: Part) => T | null | undefined) {
  for (const part of parts) {
    const found = of(part);
    if (found) return { ...part, found };
  }
  return undefined;
}

/**
 * What may be told of it. The YAML parser's message shows lines of the file, and its reason may quote a word of it: either
 * may be a secret.
 */
function messageOf(error: unknown): string {
  if (!(error instanceof Error) || error.name !== "YAMLException") return toFault(error).message;
  const { mark, reason } = error as Error & Partial<Record<string, unknown>>;
  const { line, column } = isRecord(mark) ? mark : {};
  const where =
    typeof line === "number" && typeof column === "number"
      ? ` at line ${line + 1}, column ${column + 1}`
      : "";
  const why = typeof reason === "string" ? reason.replace(/\s*["!].*$/su, "") : "";
  return `it is no YAML${where}${why && `: ${why}`}`;
}

async function accessOf(parts: readonly Part[], call: KubeCall): Promise<KubeAccess> {
  const context = firstOf(parts, ({ config }) => config.getCurrentContext())?.found;
  if (!context) throw new Error("it has no current-context");
  const names = firstOf(parts, ({ config }) => config.getContextObject(context))?.found;
  const cluster = firstOf(parts, ({ config }) => config.getCluster(names?.cluster ?? ""))?.found;
  if (!cluster) throw new Error(`context "${context}" names no cluster that it has`);
  const named = firstOf(parts, ({ config }) => config.getUser(names?.user ?? ""));
  if (!named) throw new Error(`context "${context}" names no user that it has`);
  const { raw, config, folder, found: user } = named;
  if (user.authProvider)
    throw new Error("its auth-provider is not supported: use exec, or a token");
  const told = rawUser(raw, user.name);
  const changed = {
    ...user,
    // What the library would run itself: for any time, with any output.
    exec: undefined,
    ...(await tokenOf(told["tokenFile"], folder)),
    ...(user.exec && (await fromProgram(user.exec, folder, cluster, call))),
  };
  config.loadFromClusterAndUser(cluster, changed);
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key } = options;
  tls.createSecureContext({ ca, cert, key }); // what is no certificate shall be told now
  return { server: new URL(cluster.server).href.replace(/\/$/, ""), options };
}

/** The library does not know `tokenFile`. */
async function tokenOf(tokenFile: unknown, folder: string) {
  if (typeof tokenFile !== "string" || tokenFile === "") return {};
  const token = await readBounded(path.resolve(folder, tokenFile), mostBytes, { follow: true });
  return { token: token.toString().trim() };
}

async function fromProgram(
  exec: unknown,
  folder: string,
  cluster: { readonly server: string; readonly caData?: string | undefined },
  call: KubeCall,
) {
  const { kept = new KeptCredential() } = call;
  const about = { server: cluster.server, "certificate-authority-data": cluster.caData };
  const { token, certificate, key } = await kept.get(exec, { folder, cluster: about }, call);
  return {
    ...(token !== undefined && { token }),
    ...(certificate !== undefined && { certData: base64(certificate), certFile: "" }),
    ...(key !== undefined && { keyData: base64(key), keyFile: "" }),
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function rawUser(raw: Record<string, unknown>, name: string): Record<string, unknown> {
  const users = Array.isArray(raw["users"]) ? raw["users"].filter(isRecord) : [];
  const found = users.find((one) => one["name"] === name)?.["user"];
  return isRecord(found) ? found : {};
}
