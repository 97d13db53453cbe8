// SPDX-License-Identifier: Apache-2.0
// The thread that runs one operator plugin. Nothing of the daemon is in it.
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { apiVersion, type HookName, type OperatorPlugin } from "./api.ts";
import type { HookCall, WorkerNotice, WorkerStart } from "./messages.ts";

const hookNames: readonly HookName[] = ["onSandboxCreate", "onContainerCreate", "onEvent"];
type AnyHook = (request: unknown) => unknown;

const { file, name, settings } = workerData as WorkerStart;

function send(notice: WorkerNotice): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window
  parentPort?.postMessage(notice);
}

/** The plugin's object, checked as far as its shape goes. */
function checked(exported: unknown): OperatorPlugin {
  if (typeof exported !== "object" || exported === null) {
    throw new TypeError('it exports no object under the name "plugin"');
  }
  const { apiVersion: version } = exported as { apiVersion?: unknown };
  if (version !== apiVersion) {
    throw new TypeError(`its apiVersion is ${String(version)}, this daemon has ${apiVersion}`);
  }
  for (const key of ["init", ...hookNames]) {
    const value: unknown = Reflect.get(exported, key);
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`its ${key} is no function`);
    }
  }
  return exported as OperatorPlugin;
}

async function load(): Promise<OperatorPlugin> {
  const module = (await import(pathToFileURL(file).href)) as { plugin?: unknown };
  const plugin = checked(module.plugin);
  await plugin.init?.({ name, settings });
  return plugin;
}

async function run(plugin: OperatorPlugin, { sequence, hook, request }: HookCall): Promise<void> {
  send({ kind: "began", sequence });
  try {
    const answer = await (plugin[hook] as AnyHook | undefined)?.call(plugin, request);
    send({ kind: "answered", sequence, answer }); // throws for what cannot be copied, a function for one
  } catch (error) {
    send({ kind: "failed", sequence, error: describe(error) });
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

try {
  const plugin = await load();
  parentPort?.on("message", (call: HookCall) => void run(plugin, call));
  send({ kind: "loaded", hooks: hookNames.filter((hook) => plugin[hook] !== undefined) });
} catch (error) {
  send({ kind: "notLoaded", error: describe(error) });
}
