// SPDX-License-Identifier: Apache-2.0

import { access, constants } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import type { Cancellable } from "../base/cancellable.ts";
import { timeLimit } from "../base/deadline.ts";
import { fault, RuntimeFault, toFault } from "../base/errors.ts";
import { onAbort } from "../base/on-abort.ts";
import { childEnvironment, ProcessFault, run } from "../base/process.ts";
import { shortened } from "../base/shortened.ts";
import { startTimer, type Timer } from "../base/timers.ts";

/** From the kill of a plugin to its end. */
const dyingMs = 2000;

/** One pod's interface in one network: what ADD, DEL and CHECK are about. */
export interface PluginTarget {
  readonly containerId: string;
  /** "" when the namespace is gone, which DEL must cope with. */
  readonly netnsPath: string;
  readonly ifName: string;
  readonly args: string;
}

export type TargetCommand = "ADD" | "DEL" | "CHECK";

export type PluginCall = PluginCallFacts &
  (
    | { readonly command: TargetCommand; readonly target: PluginTarget }
    | { readonly command: "VERSION" | "STATUS" | "GC"; readonly target?: undefined }
  );

interface PluginCallFacts {
  /** Name of the plugin's binary. */
  readonly type: string;
  /** For messages. */
  readonly network: string;
  readonly binDirs: readonly string[];
  /** The configuration as JSON value. */
  readonly input: unknown;
  /** The plugin is killed after so long. */
  readonly timeoutMs: number;
}

/**
 * "Try again later"; "not available"; "not available, and pods may have lost connectivity" (CNI specification,
 * section 5).
 */
const transientCodes: ReadonlySet<number> = new Set([11, 50, 51]);

/** A failure that a plugin reported, in its own words. Codes below 100 are the specification's. */
export class CniPluginFault extends RuntimeFault {
  override readonly name = "CniPluginFault";
  readonly plugin: string;
  readonly cniCode: number;

  constructor(call: PluginCall, cniCode: number, said: string, cause: unknown) {
    const what = named(call);
    // A plugin may write megabytes, and faults are kept, logged and told.
    const text = `${what}: ${shortened(said, longestSaid)}`;
    super(transientCodes.has(cniCode) ? "UNAVAILABLE" : "UNKNOWN", text, { cause });
    this.plugin = call.type;
    this.cniCode = cniCode;
  }
}

const longestSaid = 4096;

const errorSchema = z.looseObject({
  code: z.number(),
  msg: z.string(),
  details: z.string().nullish(),
});

/**
 * Runs one plugin by the CNI protocol and answers the JSON it printed; undefined when it printed nothing, as for DEL,
 * CHECK, STATUS and GC. NOT_FOUND names the folders searched; DEADLINE_EXCEEDED and CANCELLED mean that it was
 * killed; a CniPluginFault is what it reported itself.
 */
export async function runPlugin(call: PluginCall, { signal }: Cancellable): Promise<unknown> {
  const file = await findPlugin(call);
  using time = timeLimit(call.timeoutMs, signal);
  const limit = time.signal;
  try {
    const ended = run(file, [], {
      input: JSON.stringify(call.input),
      env: environment(call),
      signal: limit,
      timeoutMs: call.timeoutMs,
    });
    const { stdout } = await orLeft(ended, call, limit);
    return parseOutput(call, stdout.toString("utf8"));
  } catch (error) {
    throw pluginFault(call, error);
  }
}

/** Stops waiting for a killed plugin that does not end, because it sleeps uninterruptibly: no pod waits for it. */
async function orLeft<T>(ended: Promise<T>, call: PluginCall, limit: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  let timer: Timer | undefined;
  using _reaction = onAbort(limit, () => {
    timer = startTimer(
      () => reject(fault("DEADLINE_EXCEEDED", `${named(call)}: does not die`)),
      dyingMs,
    );
  });
  try {
    return await Promise.race([ended, promise]);
  } finally {
    timer?.stop();
  }
}

function named(call: PluginCall): string {
  return `CNI ${call.command} of plugin "${call.type}" in network "${call.network}"`;
}

/** The first executable of that name in `binDirs`. NOT_FOUND names the folders when there is none. */
export async function findPlugin({
  type,
  network,
  binDirs,
}: Pick<PluginCall, "type" | "network" | "binDirs">): Promise<string> {
  for (const folder of binDirs) {
    const file = path.join(folder, type);
    try {
      await access(file, constants.X_OK);
      return file;
    } catch {
      // Not here: the next folder may have it.
    }
  }
  const where = binDirs.map((folder) => `"${folder}"`).join(", ");
  throw fault("NOT_FOUND", `CNI plugin "${type}" of network "${network}" is not in ${where}`);
}

function environment(call: PluginCall): Record<string, string | undefined> {
  return {
    ...childEnvironment(undefined),
    CNI_COMMAND: call.command,
    ...(call.target && {
      CNI_CONTAINERID: call.target.containerId,
      CNI_NETNS: call.target.netnsPath,
      CNI_IFNAME: call.target.ifName,
      CNI_ARGS: call.target.args,
    }),
    CNI_PATH: call.binDirs.join(":"),
  };
}

function parseOutput(call: PluginCall, text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw fault("INTERNAL", `CNI plugin "${call.type}" printed no JSON: ${text.slice(0, 200)}`, {
      cause,
    });
  }
}

/** Plugins print `{code, msg, details}` on stdout when they fail; a crash leaves only stderr. */
function pluginFault(call: PluginCall, error: unknown): RuntimeFault {
  if (!(error instanceof ProcessFault)) return toFault(error);
  const what = named(call);
  if (error.code === "DEADLINE_EXCEEDED") {
    const why =
      error.cause instanceof RuntimeFault
        ? error.cause.message
        : `no answer within ${call.timeoutMs} ms`;
    const text = `${what}: ${why}, killed`;
    return fault("DEADLINE_EXCEEDED", text, { cause: error });
  }
  if (error.code === "CANCELLED") return fault("CANCELLED", `${what}: cancelled`, { cause: error });
  const said = errorSchema.safeParse(parseLoosely(error.stdout.toString("utf8")));
  if (!said.success) return fault(error.code, `${what}: ${error.message}`, { cause: error });
  const { code, details, msg } = said.data;
  const text = [msg, details].filter((part) => part !== undefined && part !== null && part !== "");
  return new CniPluginFault(call, code, text.join(": "), error);
}

function parseLoosely(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
