// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { findProgram } from "../lacking.ts";
import { disposeOnSignal } from "../last-resort.ts";
import { endChild, freePort } from "../registry.ts";
import { type RunOptions, type RunResult, run } from "../run.ts";
import { scratch } from "../scratch.ts";
import { GivenUp, until } from "../until.ts";

/** An etcd and an API server, without scheduler and controllers: pods name their node themselves. */
export interface ControlPlane extends AsyncDisposable {
  /** Credentials of an administrator, for a kubelet. */
  readonly kubeconfig: string;
  /** The arguments that lead kubectl here, before its own. */
  readonly flags: readonly string[];
  kubectl(args: readonly string[], options?: RunOptions): Promise<RunResult>;
}

export interface ControlPlanePrograms {
  readonly etcd: string;
  readonly apiServer: string;
  readonly kubectl: string;
}

export interface ControlPlaneOptions {
  /** Further lines of the file of tokens: token, user, uid, group. */
  readonly tokens?: readonly string[];
  /** Further flags of the API server, and others in place of ours. */
  readonly flags?: Readonly<Record<string, string>>;
}

/** Starts both on loopback. Disposing stops them and removes what they kept. */
export async function startControlPlane(
  programs: ControlPlanePrograms,
  { tokens: others = [], flags: otherFlags = {} }: ControlPlaneOptions = {},
): Promise<ControlPlane> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "plane", space: false }));
  const launch = async (
    name: string,
    argv: readonly string[],
    isUp: () => Promise<boolean>,
  ): Promise<void> => {
    const logFile = path.join(home.path, `${name}.log`);
    const child = spawnOwned(argv, logFile);
    undo.defer(() => endChild(child));
    await until(
      `${name} serves`,
      async () => {
        if (child.exitCode === null && child.signalCode === null) return isUp();
        throw new GivenUp(`${name} ended: ${(await readFile(logFile, "utf8")).slice(-4000)}`);
      },
      { timeoutMs: 240_000, everyMs: 200 },
    );
  };

  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const etcd = `http://127.0.0.1:${client}`;
  const etcdFlags = {
    "data-dir": path.join(home.path, "etcd"),
    "listen-client-urls": etcd,
    "advertise-client-urls": etcd,
    "listen-peer-urls": `http://127.0.0.1:${peer}`,
  };
  await launch(
    "etcd",
    [programs.etcd, ...flagsOf(etcdFlags)],
    async () => (await fetch(`${etcd}/health`)).ok,
  );

  const key = path.join(home.path, "service-accounts.key");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await writeFile(key, privateKey.export({ type: "pkcs1", format: "pem" }), { mode: 0o600 });
  const token = randomBytes(16).toString("hex");
  const tokens = path.join(home.path, "tokens.csv");
  const known = [`${token},admin,admin,system:masters`, ...others];
  await writeFile(tokens, `${known.join("\n")}\n`, { mode: 0o600 });
  const certificates = await home.folder("pki");
  const apiFlags = {
    "etcd-servers": etcd,
    "bind-address": "127.0.0.1",
    "secure-port": String(port),
    "cert-dir": certificates,
    "token-auth-file": tokens,
    "authorization-mode": "AlwaysAllow",
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": key,
    "service-account-signing-key-file": key,
    "service-cluster-ip-range": "10.249.0.0/24",
    // Loopback is no address for a service's endpoint.
    "endpoint-reconciler-type": "none",
    // Nobody makes service accounts here.
    "disable-admission-plugins": "ServiceAccount",
    "kubelet-preferred-address-types": "Hostname",
    "allow-privileged": "true",
    ...otherFlags,
  };
  const kubeconfig = path.join(home.path, "kubeconfig");
  await writeFile(kubeconfig, kubeconfigOf(`https://127.0.0.1:${port}`, token, certificates), {
    mode: 0o600,
  });
  const flags = ["--kubeconfig", kubeconfig, "--cache-dir", path.join(home.path, "cache")];
  const kubectl = (args: readonly string[], options?: RunOptions): Promise<RunResult> =>
    run(programs.kubectl, [...flags, ...args], options);
  await launch("kube-apiserver", [programs.apiServer, ...flagsOf(apiFlags)], async () => {
    const { stdout } = await kubectl(["get", "namespace", "default", "-o", "name"]);
    return stdout.trim() === "namespace/default";
  });

  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  return { kubeconfig, flags, kubectl, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A child that does not outlive this process, even one that is killed. */
function spawnOwned(argv: readonly string[], logFile: string): ChildProcess {
  const log = openSync(logFile, "a");
  const launcher = findProgram("setpriv") ? ["setpriv", "--pdeathsig", "KILL"] : [];
  const [program = "", ...args] = [...launcher, ...argv];
  try {
    return spawn(program, args, { stdio: ["ignore", log, log], cwd: "/" });
  } finally {
    closeSync(log);
  }
}

function flagsOf(flags: Readonly<Record<string, string>>): string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

// JSON is YAML. The API server signs its own certificate when it starts.
function kubeconfigOf(server: string, token: string, certificates: string): string {
  const authority = path.join(certificates, "apiserver.crt");
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority": authority } }],
    users: [{ name: "admin", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    "current-context": "test",
  });
}
