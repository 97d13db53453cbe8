// SPDX-License-Identifier: Apache-2.0
import { duplexPair } from "node:stream";
import { type Logger, silentLogger } from "../../../src/base/logger.ts";
import type { ContainerInit, ContainerUpdate, PodSandboxInit } from "../../../src/nri/messages.ts";
import { AskedPlugins } from "../../../src/nri/node-plugins.ts";
import { PluginSet } from "../../../src/nri/plugin-set.ts";
import type { CallWatch, NodeState } from "../../../src/nri/ports.ts";
import type { NriSettings } from "../../../src/nri/settings.ts";
import { FakePlugin, type FakePluginOptions } from "./fake-plugin.ts";

const settings: NriSettings = {
  socketPath: "/nowhere",
  pluginPath: "/nowhere",
  pluginConfigPath: "/nowhere",
  runFolder: "/nowhere",
  registrationTimeoutMs: 5000,
  requestTimeoutMs: 5000,
  disableConnections: false,
  onFailure: undefined,
  required: [],
  tolerateMissingPluginsAnnotation: "",
  plugins: {},
  defaultValidator: undefined,
};

/** A node with plugins and without a runtime: tests say what there is on it. */
export class PluggedNode implements Disposable {
  readonly pods = new Map<string, PodSandboxInit>();
  readonly containers = new Map<string, ContainerInit>();
  /** What plugins wanted by themselves. */
  readonly updates: ContainerUpdate[] = [];
  readonly evicted: string[] = [];
  readonly set: PluginSet;
  readonly plugins: AskedPlugins;
  readonly state: NodeState;
  settings: NriSettings;
  readonly #fakes: FakePlugin[] = [];

  constructor({
    state = {},
    watch,
    log = silentLogger,
    ...changed
  }: Partial<NriSettings> & {
    readonly state?: Partial<NodeState>;
    readonly watch?: CallWatch;
    readonly log?: Logger;
  } = {}) {
    this.settings = { ...settings, ...changed };
    this.state = { ...this.#state(), ...state };
    const needs = { settings: () => this.settings, log };
    this.set = new PluginSet({
      ...needs,
      node: this.state,
      runtime: { name: "berth", version: "0.1.0" },
      watch,
    });
    this.plugins = new AskedPlugins({ ...needs, set: this.set, validate: () => {} });
  }

  /** A plugin that is connected; `admitted` settles when it takes part, or never will. */
  plug(options: FakePluginOptions = {}): {
    readonly fake: FakePlugin;
    readonly admitted: Promise<unknown>;
  } {
    const [ours, theirs] = duplexPair();
    const admitted = this.set.admit(
      ours,
      { kind: "external" },
      { signal: AbortSignal.timeout(60_000) },
    );
    admitted.catch(() => {});
    const fake = new FakePlugin(theirs, options);
    this.#fakes.push(fake);
    return { fake, admitted };
  }

  /** A plugin that takes part. */
  async plugged(options: FakePluginOptions = {}): Promise<FakePlugin> {
    const { fake, admitted } = this.plug(options);
    await fake.register();
    await admitted;
    return fake;
  }

  [Symbol.dispose](): void {
    this.set[Symbol.dispose]();
    for (const fake of this.#fakes) fake[Symbol.dispose]();
  }

  #state(): NodeState {
    return {
      pods: () => [...this.pods.values()].map((pod) => () => pod),
      containers: () => [...this.containers.values()].map((container) => () => container),
      hasContainer: (id) => this.containers.has(id),
      update: async (updates) => {
        this.updates.push(...updates);
        return [];
      },
      evict: async (id, reason) => void this.evicted.push(`${id}, ${reason}`),
    };
  }
}
