// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault, isFault, toFault } from "../base/errors.ts";
import { sleep } from "../base/timers.ts";
import { findPlugin, runPlugin, type TargetCommand } from "./exec.ts";
import { isIdle } from "./idle-plugins.ts";
import { type CapabilityArgs, pluginInput } from "./plugin-args.ts";
import type { Attachment } from "./result-cache.ts";
import { hasVerb } from "./versions.ts";

/** What all plugins of a pod's networks are called with. */
export interface ChainContext {
  readonly sandboxId: string;
  readonly netnsPath: string;
  readonly args: string;
  readonly capabilityArgs: CapabilityArgs;
  readonly binDirs: readonly string[];
  /** Plugins that have nothing to do are run all the same. */
  readonly runIdlePlugins: boolean;
  /** What all plugins of the chain may take together. */
  readonly budgetMs: number;
}

/**
 * ADD of every plugin in order, each given the result of the one before. Writes into the attachment which plugins
 * had nothing to do and were left out, and the result. One that is left out must be there as the others must: the
 * next pod may need it.
 */
export async function addChain(
  attachment: Attachment,
  context: ChainContext,
  call: Cancellable,
): Promise<void> {
  let result: unknown;
  const left = countdown(context.budgetMs);
  for (const plugin of attachment.plugins) {
    plugin.skipped =
      !context.runIdlePlugins && isIdle(attachment, plugin, context.capabilityArgs, result);
    if (plugin.skipped) {
      const { binDirs } = context;
      await findPlugin({ type: plugin.type, network: attachment.name, binDirs });
      continue;
    }
    const input = pluginInput(attachment, plugin, context.capabilityArgs, result);
    result = await callPlugin(
      "ADD",
      { attachment, plugin, input, timeoutMs: left() },
      context,
      call,
    );
    if (result === undefined) {
      throw fault("INTERNAL", `CNI plugin "${plugin.type}" answered ADD with nothing`);
    }
  }
  attachment.result = result;
}

/**
 * DEL of every plugin in reverse order, each given the chain's result. A plugin that fails does not
 * keep the others from cleaning up, nor does one that hangs: it may take its share of the time left.
 * The first failure is thrown when all had their turn. An abort ends it at once.
 */
export async function deleteChain(
  attachment: Attachment,
  context: ChainContext,
  call: Cancellable,
): Promise<void> {
  let first: unknown;
  // Plugins older than CHECK do not expect a result on DEL.
  const result = hasVerb(attachment.cniVersion, "CHECK") ? attachment.result : undefined;
  const plugins = attachment.plugins.toReversed().filter(({ skipped }) => !skipped);
  const left = countdown(context.budgetMs);
  for (const [index, plugin] of plugins.entries()) {
    const shareMs = left() / (plugins.length - index);
    const input = pluginInput(attachment, plugin, context.capabilityArgs, result);
    try {
      await callPlugin("DEL", { attachment, plugin, input, timeoutMs: shareMs }, context, call);
    } catch (error) {
      if (isFault(error, "CANCELLED")) throw error;
      first ??= error;
    }
  }
  if (first !== undefined) throw toFault(first);
}

/** By then what a killed plugin had started, an iptables say, has ended. */
const againMs = 200;

/**
 * The same, and once more where it fails for an attachment whose ADD never ended: what the killed plugin had started may still be
 * at work, and get in its way.
 */
export async function deleteAttachment(
  attachment: Attachment,
  context: ChainContext,
  call: Cancellable,
): Promise<void> {
  try {
    await deleteChain(attachment, context, call);
  } catch (error) {
    if (attachment.result !== undefined || isFault(error, "CANCELLED")) throw error;
    await sleep(againMs, call);
    await deleteChain(attachment, context, call);
  }
}

/**
 * CHECK of every plugin in order, each given the chain's result. Throws the first fault that a plugin reports. Does
 * nothing where the network's version has no such verb, its configuration disables it, or ADD never ended.
 */
export async function checkChain(
  attachment: Attachment,
  context: ChainContext,
  call: Cancellable,
): Promise<void> {
  const { cniVersion, disableCheck, plugins, result } = attachment;
  if (!hasVerb(cniVersion, "CHECK") || disableCheck || result === undefined) return;
  const left = countdown(context.budgetMs);
  for (const plugin of plugins) {
    if (plugin.skipped) continue;
    const input = pluginInput(attachment, plugin, context.capabilityArgs, result);
    await callPlugin("CHECK", { attachment, plugin, input, timeoutMs: left() }, context, call);
  }
}

interface PluginCall {
  readonly attachment: Attachment;
  readonly plugin: { readonly type: string };
  readonly input: unknown;
  readonly timeoutMs: number;
}

function callPlugin(
  command: TargetCommand,
  { attachment, plugin, input, timeoutMs }: PluginCall,
  context: ChainContext,
  call: Cancellable,
): Promise<unknown> {
  return runPlugin(
    {
      command,
      type: plugin.type,
      network: attachment.name,
      binDirs: context.binDirs,
      target: {
        containerId: context.sandboxId,
        netnsPath: context.netnsPath,
        ifName: attachment.ifName,
        args: context.args,
      },
      input,
      timeoutMs: Math.max(1, Math.round(timeoutMs)),
    },
    call,
  );
}

/** Answers how many of the milliseconds are left. */
function countdown(ms: number): () => number {
  const end = performance.now() + ms;
  return () => end - performance.now();
}
