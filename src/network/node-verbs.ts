// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { toFault } from "../base/errors.ts";
import type { NetworkConf } from "./conf.ts";
import { runPlugin } from "./exec.ts";
import { pluginInput } from "./plugin-args.ts";
import { hasVerb } from "./versions.ts";

export interface NodeVerbOptions {
  readonly binDirs: readonly string[];
  /** A plugin is killed after so long. */
  readonly timeoutMs: number;
}

/** An attachment that GC is told to keep, in the specification's words. */
export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/**
 * STATUS of every plugin in order; throws the first reason why one could not serve an ADD. Does nothing for a network
 * whose version has no such verb.
 */
export async function askStatus(
  conf: NetworkConf,
  { binDirs, timeoutMs }: NodeVerbOptions,
  call: Cancellable,
): Promise<void> {
  if (!hasVerb(conf.cniVersion, "STATUS")) return;
  for (const plugin of conf.plugins) {
    const input = pluginInput(conf, plugin, {}, undefined);
    const { type } = plugin;
    await runPlugin(
      { command: "STATUS", type, network: conf.name, binDirs, input, timeoutMs },
      call,
    );
  }
}

/** True for a network whose plugins may be asked to collect garbage. */
export function takesGc(conf: NetworkConf): boolean {
  return hasVerb(conf.cniVersion, "GC") && !conf.disableGc;
}

/**
 * GC of every plugin: each gives back what it holds for other attachments than these. One that fails does not keep
 * the others from their turn; the first failure is thrown at the end. No ADD or DEL may run meanwhile.
 */
export async function collectGarbage(
  conf: NetworkConf,
  valid: readonly ValidAttachment[],
  { binDirs, timeoutMs }: NodeVerbOptions,
  call: Cancellable,
): Promise<void> {
  if (!takesGc(conf)) return;
  let first: unknown;
  for (const plugin of conf.plugins) {
    const input = {
      ...pluginInput(conf, plugin, {}, undefined),
      "cni.dev/valid-attachments": valid,
    };
    const { type } = plugin;
    try {
      await runPlugin({ command: "GC", type, network: conf.name, binDirs, input, timeoutMs }, call);
    } catch (error) {
      first ??= error;
    }
  }
  if (first !== undefined) throw toFault(first);
}
