// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { ProcessFault, run } from "../../base/process.ts";
import { ApiFailure } from "./problem.ts";

/** What a program gives to show to the server. */
export interface ExecCredential {
  readonly token: string | undefined;
  /** PEM. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** Undefined where the program says nothing of it. */
  readonly expiresAtMs: number | undefined;
}

const programMs = 10_000;
const mostOutputBytes = 256 * 1024;
const versions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/**
 * Runs the program that a kubeconfig names (`users[].user.exec`), as EKS, AKS and GKE write it for their nodes: without
 * a terminal, for ten seconds at most. `cluster` is what it may want to know of it. ApiFailure "kubeconfig".
 */
export async function execCredential(
  exec: unknown,
  { folder, cluster }: { readonly folder: string; readonly cluster: Record<string, unknown> },
  { signal }: Cancellable,
): Promise<ExecCredential> {
  const { command, args, env, version, wantsCluster } = checked(exec);
  const spec = { interactive: false, ...(wantsCluster && { cluster }) };
  const info = JSON.stringify({ apiVersion: version, kind: "ExecCredential", spec });
  const program = command.includes("/") ? path.resolve(folder, command) : command;
  try {
    const { stdout } = await run(program, args, {
      // oxlint-disable-next-line node/no-process-env -- such programs find their settings there, as kubelets let them
      env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: info },
      signal,
      timeoutMs: programMs,
      maxOutputBytes: mostOutputBytes,
    });
    return credentialOf(parsed(stdout.toString()));
  } catch (error) {
    signal.throwIfAborted();
    throw failure(`${command} gives no credential: ${messageOf(error)}`);
  }
}

/** What may be told: what a program wrote on standard output may be the credential, whatever became of it. */
function messageOf(error: unknown): string {
  const { exitCode, signal, stderrTail } = error instanceof ProcessFault ? error : {};
  if (exitCode === undefined && signal === undefined) return toFault(error).message;
  const how = exitCode === undefined ? `it died of ${signal}` : `it exited with ${exitCode}`;
  return `${how}${stderrTail && `: ${stderrTail}`}`;
}

/** The parser's own message quotes what it was given. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("what it wrote is no JSON");
  }
}

function checked(exec: unknown) {
  if (!isRecord(exec) || typeof exec["command"] !== "string" || exec["command"] === "") {
    throw failure("its exec names no command");
  }
  const { command, args, env, apiVersion, interactiveMode, provideClusterInfo } = exec;
  if (interactiveMode === "Always") throw failure(`${command} wants a terminal, and there is none`);
  const version = typeof apiVersion === "string" ? apiVersion : "";
  if (!versions.includes(version)) throw failure(`its exec is of version "${version}"`);
  const pairs = Array.isArray(env) ? env.filter(isRecord) : [];
  return {
    command,
    args: Array.isArray(args) ? args.map(String) : [],
    env: Object.fromEntries(pairs.map(({ name, value }) => [String(name), String(value)])),
    version,
    wantsCluster: provideClusterInfo === true,
  };
}

function credentialOf(answer: unknown): ExecCredential {
  const status = isRecord(answer) ? answer["status"] : undefined;
  const field = (name: string): string | undefined => {
    const value = isRecord(status) ? status[name] : undefined;
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const credential = {
    token: field("token"),
    certificate: field("clientCertificateData"),
    key: field("clientKeyData"),
    expiresAtMs: timeOf(field("expirationTimestamp")),
  };
  const { token, certificate, key } = credential;
  if (token === undefined && (certificate === undefined || key === undefined)) {
    throw new Error("no token and no certificate with its key");
  }
  return credential;
}

/** What is no time has passed: then the program runs again. */
function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text) || 0;
}

function failure(message: string): ApiFailure {
  return new ApiFailure("kubeconfig", message);
}
