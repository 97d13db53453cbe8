// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { CniConfig } from "../config/config.ts";
import { addChain, type ChainContext, deleteChain } from "./chain.ts";
import type { NetworkConf } from "./conf.ts";
import { type ConfDirContent, confDirFingerprint, loadConfDir } from "./conf-dir.ts";
import { capabilityArgs, cniArgs } from "./plugin-args.ts";
import type { PodNetwork, PodNetworkRequest, PodNetworkResult } from "./ports.ts";
import { parseResult, podAddresses } from "./result.ts";
import { type Attachment, type NetworkRecord, ResultCache } from "./result-cache.ts";
import { ConfDirWatcher } from "./watcher.ts";

export interface PodNetworkOptions {
  readonly config: CniConfig;
  readonly log: Logger;
  /** `cniMs`: how long one plugin may take before it is killed. */
  readonly timeouts: { readonly cniMs: number };
}

/** The CNI pod network with what only the composition root and UpdateRuntimeConfig need. */
export interface CniPodNetwork extends PodNetwork, AsyncDisposable {
  /** The node's pod address range, as the kubelet last said it; "" before that. */
  readonly podCidr: string;
  updatePodCidr(podCidr: string): void;
  /** Reads the configuration folder now. It is watched as well. */
  reload(): Promise<void>;
}

/** Loads the configuration and watches its folder, which may come into being later. */
export async function createPodNetwork(options: PodNetworkOptions): Promise<CniPodNetwork> {
  const seen = await confDirFingerprint(options.config.confDir);
  const network = new CniNetwork(options, seen);
  await network.reload();
  return network;
}

class CniNetwork implements CniPodNetwork {
  readonly #config: CniConfig;
  readonly #log: Logger;
  readonly #pluginTimeoutMs: number;
  readonly #cache: ResultCache;
  readonly #watcher: ConfDirWatcher;
  #content: ConfDirContent = { networks: [], problems: [] };
  #podCidr = "";

  constructor({ config, log, timeouts }: PodNetworkOptions, seen: string) {
    this.#config = config;
    this.#log = log;
    this.#pluginTimeoutMs = timeouts.cniMs;
    this.#cache = new ResultCache(config.cacheDir);
    const onChange = (): Promise<void> => this.reload();
    this.#watcher = new ConfDirWatcher({ folder: config.confDir, onChange }, seen);
  }

  get podCidr(): string {
    return this.#podCidr;
  }

  updatePodCidr(podCidr: string): void {
    this.#podCidr = podCidr;
  }

  async reload(): Promise<void> {
    const { confDir, maxConfNum } = this.#config;
    const before = JSON.stringify(this.#content);
    this.#content = await loadConfDir(confDir, maxConfNum);
    if (JSON.stringify(this.#content) === before) return;
    const { networks, problems } = this.#content;
    const names = networks.map(({ name }) => name);
    if (problems.length > 0)
      this.#log.warn({ problems, networks: names }, "CNI configuration has problems");
    this.#log.info({ networks: names }, "CNI configuration loaded");
  }

  status(): { readonly ready: boolean; readonly reason: string; readonly message: string } {
    const { networks, problems } = this.#content;
    if (networks.length > 0) return { ready: true, reason: "", message: "" };
    const why = problems.length > 0 ? `: ${problems.join("; ")}` : "";
    const message = `no usable CNI configuration in "${this.#config.confDir}"${why}`;
    return { ready: false, reason: "NetworkPluginNotReady", message };
  }

  /** The same facts that containerd users find under `cniconfig`. */
  describe(): unknown {
    const { binDirs, confDir, maxConfNum } = this.#config;
    const { networks, problems } = this.#content;
    return {
      PluginDirs: binDirs,
      PluginConfDir: confDir,
      PluginMaxConfNum: maxConfNum,
      Prefix: "eth",
      Networks: networks.map((network, index) => ({
        Config: {
          Name: network.name,
          CNIVersion: network.cniVersion,
          Plugins: network.plugins.map(({ raw }) => ({ Network: raw })),
          Source: network.file,
        },
        IFName: interfaceName(index),
      })),
      Problems: problems,
    };
  }

  async setup(request: PodNetworkRequest, call: Cancellable): Promise<PodNetworkResult> {
    call.signal.throwIfAborted();
    if (this.#content.networks.length === 0) await this.reload();
    const { networks } = this.#content;
    if (networks.length === 0) throw fault("FAILED_PRECONDITION", this.status().message);
    const record = recordOf(request, networks);
    await this.#cache.put(record);
    const context = this.#context(record, request.netnsPath);
    // All of them end before this does: undo must never meet a plugin that is still adding.
    const ends = await Promise.allSettled(
      record.attachments.map((attachment) => addChain(attachment, context, call)),
    );
    await this.#cache.put(record);
    throwFirstFailure(ends);
    return this.#podResult(record);
  }

  async teardown(request: PodNetworkRequest, call: Cancellable): Promise<void> {
    call.signal.throwIfAborted();
    const { networks } = this.#content;
    const record = (await this.#cache.get(request.sandboxId)) ?? recordOf(request, networks);
    const context = this.#context(record, request.netnsPath);
    const ends = await Promise.allSettled(
      record.attachments.map((attachment) => deleteChain(attachment, context, call)),
    );
    throwFirstFailure(ends);
    await this.#cache.remove(request.sandboxId);
  }

  attachedSandboxes(): Promise<readonly string[]> {
    return this.#cache.list();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watcher[Symbol.asyncDispose]();
  }

  #context(record: NetworkRecord, netnsPath: string): ChainContext {
    return {
      sandboxId: record.sandboxId,
      netnsPath,
      args: record.args,
      capabilityArgs: record.capabilityArgs,
      binDirs: this.#config.binDirs,
      pluginTimeoutMs: this.#pluginTimeoutMs,
    };
  }

  #podResult(record: NetworkRecord): PodNetworkResult {
    const raw = Object.fromEntries(record.attachments.map(({ name, result }) => [name, result]));
    const [first] = record.attachments;
    const addresses =
      first === undefined
        ? []
        : podAddresses(
            parseResult(first.name, first.result),
            first.ifName,
            this.#config.ipPreference,
          );
    const [ip, ...additionalIps] = addresses;
    if (ip === undefined) {
      throw fault("INTERNAL", `network "${first?.name}" gave ${first?.ifName} no address`);
    }
    return { ip, additionalIps, raw };
  }
}

function interfaceName(index: number): string {
  return `eth${index}`;
}

function recordOf(request: PodNetworkRequest, networks: readonly NetworkConf[]): NetworkRecord {
  const attachments = networks.map(
    ({ cniVersion, name, plugins }, index): Attachment => ({
      name,
      cniVersion,
      ifName: interfaceName(index),
      plugins: plugins.map(({ capabilities, raw, type }) => ({
        type,
        capabilities: [...capabilities],
        raw: { ...raw },
        skipped: false,
      })),
    }),
  );
  return {
    version: 1,
    sandboxId: request.sandboxId,
    args: cniArgs(request),
    capabilityArgs: { ...capabilityArgs(request) },
    attachments,
  };
}

function throwFirstFailure(ends: readonly PromiseSettledResult<void>[]): void {
  const failures = ends
    .filter((end) => end.status === "rejected")
    .map(({ reason }) => toFault(reason));
  if (failures.length > 1) {
    const [first] = failures;
    const all = failures.map(({ message }) => message).join("; ");
    throw fault(first?.code ?? "UNKNOWN", all, { cause: new AggregateError(failures) });
  }
  if (failures[0] !== undefined) throw failures[0];
}
