// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect } from "node:net";
import type { Cancellable } from "../../base/cancellable.ts";
import { timeLimit } from "../../base/deadline.ts";
import { toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { parseYaml } from "../../cri/oci-spec/parse-yaml.ts";
import type { KubeletFacts } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, warning } from "../finding.ts";
import type { Host } from "../host.ts";

const usual = "/etc/kubernetes/kubelet.conf";
const answerMs = 3_000;

/** The kubelet's own kubeconfig: whether it can be used, and whether its API server can be reached. */
export async function kubeletConf(
  host: Host,
  { flags }: KubeletFacts,
  call: Cancellable,
): Promise<Finding[]> {
  const named = flagOf(flags, "kubeconfig");
  const file = named ?? usual;
  const text = await host.text(file);
  const bootstrap = flagOf(flags, "bootstrap-kubeconfig");
  const isToCome = bootstrap !== undefined && (await host.has(bootstrap));
  if (text === undefined && (named === undefined || isToCome)) return [];
  const { problem, server, files } = parsed(file, text);
  const missing: string[] = [];
  for (const one of files) if (!(await host.has(one))) missing.push(one);
  const what =
    problem || missing.map((one) => `${file} names ${one}, which is not there`).join(", ");
  if (what !== "") {
    const why = "the kubelet cannot speak to the API server: the node becomes NotReady";
    return [error({ what, why, mend: await newKubeletConf(host) })];
  }
  const { hostname, port } = new URL(server);
  const refusal = await refusalOf(hostname, Number(port) || 443, call);
  if (refusal === "") return [];
  return [
    warning({
      what: `the API server that ${file} names, ${server}, cannot be reached: ${refusal}`,
      why: "the node becomes NotReady and gets no pods; those that run go on, and berthd needs no API server for them",
      mend: `ip route get "$(getent hosts ${hostname} | cut -d' ' -f1)"; curl -ksS --max-time 5 ${server}/healthz`,
    }),
  ];
}

/** What gets the node another one: made here where the cluster's authority is, else by joining anew. */
export async function newKubeletConf(host: Host): Promise<string> {
  const aside = `for file in ${usual} /var/lib/kubelet/pki/kubelet-client-*; do [ ! -e "$file" ] || mv "$file" "$file.old"; done`;
  return (await host.has("/etc/kubernetes/pki/ca.key"))
    ? `${aside}; kubeadm init phase kubeconfig kubelet && systemctl restart kubelet`
    : `${aside}; kubeadm token create --print-join-command # on a control plane; run here what it prints, with --ignore-preflight-errors=all`;
}

/** The certificate by which the kubelet is known to the API server, where its kubeconfig names one or holds it. */
export async function clientCertificate(
  host: Host,
  flags: readonly string[],
): Promise<{ readonly file: string; readonly held?: string } | undefined> {
  const file = flagOf(flags, "kubeconfig") ?? usual;
  const { user } = parsed(file, await host.text(file));
  const { "client-certificate": named, "client-certificate-data": held } = user;
  if (typeof held === "string") return { file, held: Buffer.from(held, "base64").toString() };
  return typeof named === "string" && named.startsWith("/") ? { file: named } : undefined;
}

function parsed(file: string, text: string | undefined): Parsed {
  const bad = (problem: string) => ({ server: "", files: [], user: {}, problem });
  if (text === undefined)
    return bad(`there is no ${file}, by which the kubelet is to find the API server`);
  let conf: unknown;
  try {
    conf = parseYaml(text);
  } catch (thrown) {
    return bad(`${file} cannot be read: ${toFault(thrown).message}`);
  }
  if (!isRecord(conf)) return bad(`${file} is no kubeconfig`);
  const context = entryOf(conf["contexts"], conf["current-context"], "context");
  const cluster = entryOf(conf["clusters"], context["cluster"], "cluster");
  const user = entryOf(conf["users"], context["user"], "user");
  const { server } = cluster;
  if (typeof server !== "string" || !URL.canParse(server))
    return bad(`${file} names no server for its current-context`);
  const files = [cluster["certificate-authority"], user["client-certificate"], user["client-key"]];
  const absolute = files.filter((one) => typeof one === "string" && one.startsWith("/"));
  return { server, files: absolute as string[], user, problem: "" };
}

interface Parsed {
  readonly server: string;
  readonly files: readonly string[];
  readonly user: Readonly<Record<string, unknown>>;
  /** "" where there is none. */
  readonly problem: string;
}

/** The list's entry of that name; empty where there is none. */
function entryOf(list: unknown, name: unknown, key: string): Readonly<Record<string, unknown>> {
  const found: unknown = Array.isArray(list)
    ? list.find((one) => isRecord(one) && one["name"] === name)
    : undefined;
  const entry = isRecord(found) ? found[key] : undefined;
  return isRecord(entry) ? entry : {};
}

/** Why nobody takes a connection there; "" where somebody does. */
async function refusalOf(host: string, port: number, { signal }: Cancellable): Promise<string> {
  using limit = timeLimit(answerMs, signal);
  const socket = connect({ host: host.replace(/^\[(.*)\]$/, "$1"), port });
  try {
    await once(socket, "connect", limit);
    return "";
  } catch (thrown) {
    signal.throwIfAborted();
    return limit.signal.aborted ? "it does not answer" : toFault(thrown).message;
  } finally {
    socket.destroy();
  }
}
