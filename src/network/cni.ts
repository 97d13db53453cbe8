// SPDX-License-Identifier: Apache-2.0

import { BriefTurns } from "../base/brief-turns.ts";
import type { Cancellable } from "../base/cancellable.ts";
import { fault, isFault, toFault } from "../base/errors.ts";
import { KeyedMutex } from "../base/keyed-mutex.ts";
import type { Logger } from "../base/logger.ts";
import { networkSetupBytes, ourShares } from "../base/memory/memory-shares.ts";
import { QuietGate } from "../base/quiet-gate.ts";
import { within } from "../base/waits.ts";
import type { CniConfig } from "../config/config.ts";
import { addChain, type ChainContext, checkChain, deleteAttachment } from "./chain.ts";
import type { NetworkConf } from "./conf.ts";
import { type ConfDirContent, confDirFingerprint, loadConfDir } from "./conf-dir.ts";
import { Janitor } from "./janitor.ts";
import { negotiateVersion } from "./negotiate.ts";
import { askStatus } from "./node-verbs.ts";
import { capabilityArgs, cniArgs } from "./plugin-args.ts";
import type { PodNetwork, PodNetworkRequest, PodNetworkResult } from "./ports.ts";
import { parseResult, podAddresses } from "./result.ts";
import { type Attachment, type NetworkRecord, ResultCache } from "./result-cache.ts";
import { StatusMonitor } from "./status-monitor.ts";
import { ConfDirWatcher } from "./watcher.ts";

/** A plugin that needs longer than this to answer STATUS counts as not ready. */
const statusMs = 10_000;
/** Less than the deadlines of DEL's callers, so that a plugin that hangs leaves the others their turn. */
const delMs = 55_000;
/** How long a start waits for the first answers to STATUS. */
const firstStatusMs = 2000;

export interface NetworkSettings {
  readonly config: CniConfig;
  /** `cniMs`: what one operation in one network may take, all plugins together, before they are killed. */
  readonly timeouts: { readonly cniMs: number };
}

/** Settings that have been read and checked. */
export interface PreparedNetwork {
  /** Uses them from now on; operations that run end with the old ones. */
  commit(): void;
}

export interface PodNetworkOptions extends NetworkSettings {
  readonly log: Logger;
  /** How often plugins are asked for their status, how soon what was abandoned is tried again, how long GC may take. For tests. */
  readonly intervals?: {
    readonly statusMs: number;
    readonly firstRetryMs: number;
    readonly gcMs: number;
  };
}

/** The CNI pod network with what only the composition root and UpdateRuntimeConfig need. */
export interface CniPodNetwork extends PodNetwork, AsyncDisposable {
  /** The node's pod address range, as the kubelet last said it; "" before that. */
  readonly podCidr: string;
  updatePodCidr(podCidr: string): void;
  /** Reads the configuration folder now. It is watched as well. */
  reload(): Promise<void>;
  /**
   * Prepares another configuration; the folder of results stays where it is. Pods that are there keep their networks,
   * which are taken down by the plugins of the new `binDirs`.
   */
  prepare(settings: NetworkSettings, call: Cancellable): Promise<PreparedNetwork>;
}

/**
 * Loads the configuration and watches its folder, which may be made later. Waits a moment for plugins to say that
 * they are ready, so that a restart does not look like a failing network.
 */
export async function createPodNetwork(options: PodNetworkOptions): Promise<CniPodNetwork> {
  const seen = await confDirFingerprint(options.config.confDir);
  const network = new CniNetwork(options, seen);
  await network.reload();
  await network.firstAnswers();
  return network;
}

class CniNetwork implements CniPodNetwork {
  #config: CniConfig;
  readonly #log: Logger;
  #budgetMs: number;
  readonly #cache: ResultCache;
  #watcher: ConfDirWatcher;
  /** CNI wants the operations on one pod one after another. Only the pod's own calls ever wait here. */
  readonly #turns = new KeyedMutex();
  /** The CHECKs that run, by sandbox: a DEL does not wait for them. */
  readonly #checks = new Map<string, AbortController>();
  /** Memory for the plugins of a few pods at a time. */
  readonly #places = new BriefTurns({
    atOnce: ourShares().networkSetups,
    bytes: networkSetupBytes,
  });
  /** ADD and DEL hold it together; GC runs alone. */
  readonly #gate = new QuietGate();
  readonly #monitor: StatusMonitor;
  readonly #janitor: Janitor;
  readonly #end = new AbortController();
  #content: ConfDirContent = { networks: [], problems: [] };
  #loading = Promise.resolve();
  #podCidr = "";

  constructor({ config, intervals, log, timeouts }: PodNetworkOptions, seen: string) {
    this.#config = config;
    this.#log = log;
    this.#budgetMs = timeouts.cniMs;
    this.#cache = new ResultCache(config.cacheDir);
    this.#monitor = new StatusMonitor({
      ask: (conf, signal) => {
        const timeoutMs = Math.min(statusMs, this.#budgetMs);
        return askStatus(conf, { binDirs: this.#config.binDirs, timeoutMs }, { signal });
      },
      log,
      ...(intervals && { pollMs: intervals.statusMs }),
    });
    this.#janitor = new Janitor({
      cache: this.#cache,
      gate: this.#gate,
      binDirs: () => this.#config.binDirs,
      log,
      networks: () =>
        this.#content.networks.map((conf, index) => ({ ...conf, ifName: interfaceName(index) })),
      takeDown: (record, call) => this.#takeDown(record, "", call),
      ...(intervals && { firstRetryMs: intervals.firstRetryMs, gcMs: intervals.gcMs }),
    });
    this.#watcher = this.#watch(config.confDir, seen);
  }

  #watch(folder: string, seen: string): ConfDirWatcher {
    return new ConfDirWatcher({ folder, onChange: () => this.reload() }, seen);
  }

  get podCidr(): string {
    return this.#podCidr;
  }

  updatePodCidr(podCidr: string): void {
    this.#podCidr = podCidr;
  }

  reload(): Promise<void> {
    this.#loading = this.#loading.then(() => this.#load());
    return this.#loading;
  }

  async prepare(
    { config, timeouts }: NetworkSettings,
    call: Cancellable,
  ): Promise<PreparedNetwork> {
    const seen = await confDirFingerprint(config.confDir);
    const content = await readContent(config, call);
    return {
      commit: () => {
        const old = this.#watcher;
        this.#config = config;
        this.#budgetMs = timeouts.cniMs;
        this.#watcher = this.#watch(config.confDir, seen);
        this.#use(content);
        old[Symbol.asyncDispose]().catch((err: unknown) => {
          this.#log.warn({ err }, "CNI folder of before is still watched");
        });
      },
    };
  }

  async #load(): Promise<void> {
    const config = this.#config;
    const content = await readContent(config, { signal: this.#end.signal });
    if (config === this.#config) this.#use(content); // otherwise the folder read is another configuration's
  }

  #use(content: ConfDirContent): void {
    const { networks, problems } = content;
    if (JSON.stringify(this.#content) === JSON.stringify(content)) return;
    this.#content = content;
    this.#monitor.watch(networks);
    const names = networks.map(({ name }) => name);
    if (problems.length > 0)
      this.#log.warn({ problems, networks: names }, "CNI configuration has problems");
    this.#log.info({ networks: names }, "CNI configuration loaded");
  }

  status(): { readonly ready: boolean; readonly reason: string; readonly message: string } {
    const { networks, problems } = this.#content;
    const reason = "NetworkPluginNotReady";
    const complaints = [...this.#monitor.complaints.values()];
    if (complaints.length > 0) return { ready: false, reason, message: complaints.join("; ") };
    if (networks.length > 0) return { ready: true, reason: "", message: "" };
    const why = problems.length > 0 ? `: ${problems.join("; ")}` : "";
    const message = `no usable CNI configuration in "${this.#config.confDir}"${why}`;
    return { ready: false, reason, message };
  }

  /** Settles when plugins have said whether they are ready, or have had the time to. */
  async firstAnswers(): Promise<void> {
    await within(this.#monitor.answered(), firstStatusMs);
  }

  /** The same facts that containerd users find under `cniconfig`. */
  describe(): unknown {
    const { binDirs, confDir, maxConfNum } = this.#config;
    const { networks, problems } = this.#content;
    const { complaints } = this.#monitor;
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
        NotReady: complaints.get(network.name) ?? "",
      })),
      Problems: problems,
    };
  }

  async setup(request: PodNetworkRequest, call: Cancellable): Promise<PodNetworkResult> {
    using _turn = await this.#turns.lock(request.sandboxId, call);
    using _inside = await this.#gate.enter(call);
    if (this.#content.networks.length === 0) await this.reload();
    const { networks } = this.#content;
    if (networks.length === 0) throw fault("FAILED_PRECONDITION", this.status().message);
    const record = recordOf(request, networks);
    await this.#cache.put(record);
    using _place = await this.#places.acquire(call);
    const context = this.#context(record, request.netnsPath, this.#budgetMs);
    // All of them end before this does: undo must never meet a plugin that is still adding.
    const ends = await Promise.allSettled(
      record.attachments.map((attachment) => addChain(attachment, context, call)),
    );
    await this.#cache.put(record);
    throwFirstFailure(ends);
    return this.#podResult(record);
  }

  async teardown(request: PodNetworkRequest, call: Cancellable): Promise<void> {
    this.#checks.get(request.sandboxId)?.abort();
    using _turn = await this.#turns.lock(request.sandboxId, call);
    const record = (await this.#cache.get(request.sandboxId)) ?? this.#recordLost(request);
    if (record !== undefined) await this.#takeDown(record, request.netnsPath, call);
  }

  async check(request: PodNetworkRequest, call: Cancellable): Promise<void> {
    const { sandboxId, netnsPath } = request;
    using _turn = await this.#turns.lock(sandboxId, call);
    const record = await this.#cache.get(sandboxId);
    if (record === undefined) return;
    const context = this.#context(record, netnsPath, this.#budgetMs);
    const abort = new AbortController();
    const own = { signal: AbortSignal.any([call.signal, abort.signal]) };
    this.#checks.set(sandboxId, abort);
    try {
      using _place = await this.#places.acquire(own);
      const ends = await Promise.allSettled(
        record.attachments.map((attachment) => checkChain(attachment, context, own)),
      );
      throwFirstFailure(ends);
    } finally {
      this.#checks.delete(sandboxId);
    }
  }

  abandon(sandboxId: string): Promise<void> {
    return this.#janitor.abandon(sandboxId);
  }

  startCollecting(holders: () => Iterable<string>): void {
    this.#janitor.start(holders);
  }

  async attachedSandboxes(): Promise<readonly string[]> {
    const lists = [this.#cache.list(), this.#cache.listUnfinished()];
    return [...new Set((await Promise.all(lists)).flat())];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await Promise.all([
      this.#watcher[Symbol.asyncDispose](),
      this.#monitor[Symbol.asyncDispose](),
      this.#janitor[Symbol.asyncDispose](),
    ]);
  }

  /** What the record would be. None for a pod whose requests setup refuses: that one was never added. */
  #recordLost(request: PodNetworkRequest): NetworkRecord | undefined {
    try {
      return recordOf(request, this.#content.networks);
    } catch (error) {
      if (isFault(error, "INVALID_ARGUMENT")) return undefined;
      throw error;
    }
  }

  /** DEL of all networks on record; then the record goes. */
  async #takeDown(record: NetworkRecord, netnsPath: string, call: Cancellable): Promise<void> {
    using _inside = await this.#gate.enter(call);
    using _place = await this.#places.acquire(call);
    const context = this.#context(record, netnsPath, Math.min(this.#budgetMs, delMs));
    const ends = await Promise.allSettled(
      record.attachments.map((attachment) => deleteAttachment(attachment, context, call)),
    );
    throwFirstFailure(ends);
    await this.#cache.remove(record.sandboxId);
  }

  #context(record: NetworkRecord, netnsPath: string, budgetMs: number): ChainContext {
    return {
      sandboxId: record.sandboxId,
      netnsPath,
      args: record.args,
      capabilityArgs: record.capabilityArgs,
      binDirs: this.#config.binDirs,
      runIdlePlugins: this.#config.runIdlePlugins,
      budgetMs,
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

/** What a folder holds, in the versions that its plugins speak. */
async function readContent(
  { binDirs, confDir, maxConfNum }: CniConfig,
  call: Cancellable,
): Promise<ConfDirContent> {
  const { networks, problems } = await loadConfDir(confDir, maxConfNum);
  return {
    networks: await Promise.all(networks.map((conf) => negotiateVersion(conf, binDirs, call))),
    problems,
  };
}

function interfaceName(index: number): string {
  return `eth${index}`;
}

function recordOf(request: PodNetworkRequest, networks: readonly NetworkConf[]): NetworkRecord {
  const attachments = networks.map(
    ({ cniVersion, disableCheck, name, plugins }, index): Attachment => ({
      name,
      cniVersion,
      disableCheck,
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
    abandoned: false,
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
