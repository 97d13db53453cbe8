// SPDX-License-Identifier: Apache-2.0
import { toFault } from "../base/errors.ts";
import { searchPath } from "../base/process.ts";
import { readStart } from "../base/read-bounded.ts";
import { defaultConfig } from "../config/defaults.ts";
import { layoutOf } from "../config/layout.ts";
import { defaultConfigFile, loadConfig } from "../config/load.ts";
import { askDaemon } from "./facts/daemon.ts";
import { readKubelet } from "./facts/kubelet.ts";
import { hostProcesses } from "./facts/processes.ts";
import { startedWith } from "./facts/started-with.ts";
import { Host } from "./host.ts";
import type { ConfigurationFacts, Patient } from "./patient.ts";

export interface PatientOptions {
  /** Where the node's root file system is; "" for our own. */
  readonly root: string;
  /** The configuration file; the usual one when it is left out. */
  readonly configFile?: string | undefined;
  /** The daemon's socket; the configured one when it is left out. */
  readonly address?: string | undefined;
  readonly kubeconfig?: string | undefined;
}

/** The system's own folders for programs, where a service finds them. */
const usualPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Reads the configuration. All else is looked up when it is asked for. */
export function openPatient(options: PatientOptions): Patient {
  const host = new Host(options.root);
  const file = options.configFile ?? defaultConfigFile;
  const { config, configuration } = configurationFor(options, host, file);
  const socket = options.address ?? config.grpc.address;
  const processes = once(() => hostProcesses(host));
  const daemon = once(async () => {
    await host.reach(socket);
    return askDaemon(host.at(socket));
  });
  return {
    host,
    configuration,
    config,
    layout: layoutOf(config),
    socket,
    kubeconfig: options.kubeconfig ?? configured(host, config.kubernetes.kubeconfig),
    processes,
    daemon,
    kubelet: once(async () => readKubelet(host, await processes())),
    searchPath: once(async () => pathOf((await daemon()).pid)),
  };
}

/** Of the daemon that runs, where none is named: it may have been started with another than the usual one. */
function configurationFor({ configFile, address }: PatientOptions, host: Host, file: string) {
  const usual = readConfiguration(host, file, configFile !== undefined);
  if (configFile !== undefined || !host.isOurs) return usual;
  const theirs = startedWith(address ?? usual.config.grpc.address);
  if (theirs === undefined) return usual;
  return readConfiguration(host, theirs.file ?? file, theirs.file !== undefined, theirs.overrides);
}

function configured(host: Host, kubeconfig: string): string | undefined {
  return kubeconfig === "" ? undefined : host.at(kubeconfig);
}

function readConfiguration(
  host: Host,
  file: string,
  isNamed: boolean,
  overrides: Readonly<Record<string, unknown>> = {},
) {
  const facts = { warnings: [], sources: [], file, originOf: () => "the defaults" };
  try {
    const named = isNamed || !host.isOurs ? { file: host.at(file) } : {};
    const { config, ...read } = loadConfig({ ...named, overrides });
    const configuration: ConfigurationFacts = {
      ...read,
      problem: undefined,
      isUnread: false,
      file,
    };
    return { config, configuration };
  } catch (error) {
    const { code, message } = toFault(error);
    const isAbsent = !isNamed && code === "NOT_FOUND";
    const problem = isAbsent ? undefined : message;
    const isUnread = !isAbsent && code !== "INVALID_ARGUMENT";
    return { config: defaultConfig, configuration: { ...facts, problem, isUnread } };
  }
}

/** The PATH of the daemon that runs, since ours may be another. */
async function pathOf(pid: number | undefined): Promise<readonly string[]> {
  const environment = await readStart(`/proc/${pid ?? "none"}/environ`, 128 * 1024).catch(() => "");
  const theirs = environment
    .toString()
    .split("\0")
    .find((pair) => pair.startsWith("PATH="));
  const folders = theirs?.slice("PATH=".length).split(":") ?? [...searchPath(), ...usualPath];
  return [...new Set(folders.filter((folder) => folder.startsWith("/")))];
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= work());
}
