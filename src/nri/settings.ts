// SPDX-License-Identifier: Apache-2.0
import type { ValidatorRules } from "./merge/validator-rules.ts";

/** What becomes of an operation when a plugin does not answer: it goes on without it, or fails with its name. */
export type OnFailure = "continue" | "refuse";

export interface NriSettings {
  readonly socketPath: string;
  /** Programs that are started with the daemon, and their configuration. */
  readonly pluginPath: string;
  readonly pluginConfigPath: string;
  /** Of ours: by what lies there the next daemon finds programs that have outlived this one. */
  readonly runFolder: string;
  readonly registrationTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** There is no socket: only the programs take part. */
  readonly disableConnections: boolean;
  /** Undefined: as each plugin wants it, or "continue" where it does not say. */
  readonly onFailure: OnFailure | undefined;
  /** Plugins (`name` or `10-name`) without which no container is made. */
  readonly required: readonly string[];
  /** The annotation by which a pod says that it bears with the absence of these; "" for none. */
  readonly tolerateMissingPluginsAnnotation: string;
  /** By `name` or `10-name`. */
  readonly plugins: Readonly<Record<string, PluginSettings>>;
  /** Undefined when it is off. */
  readonly defaultValidator: ValidatorRules | undefined;
}

export interface PluginSettings {
  readonly onFailure?: OnFailure | undefined;
  readonly requestTimeoutMs?: number | undefined;
}

/** Those without which no container is made, as they are named there. */
export function requiredPlugins({ required, defaultValidator }: NriSettings): readonly string[] {
  return [...new Set([...required, ...(defaultValidator?.requiredPlugins ?? [])])];
}

/** Whether there is something to ask about a container with no plugin at all. */
export function asksWithoutPlugins({ required, defaultValidator }: NriSettings): boolean {
  return required.length > 0 || defaultValidator !== undefined;
}
