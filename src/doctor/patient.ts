// SPDX-License-Identifier: Apache-2.0
import type { Config } from "../config/config.ts";
import type { Layout } from "../config/layout.ts";
import type { DaemonFacts } from "./facts/daemon.ts";
import type { KubeletFacts } from "./facts/kubelet.ts";
import type { ProcessFacts } from "./facts/processes.ts";
import type { Host } from "./host.ts";

/** What the checks look at. What several of them ask for is looked up once, when the first one asks. */
export interface Patient {
  readonly host: Host;
  readonly configuration: ConfigurationFacts;
  readonly config: Config;
  readonly layout: Layout;
  /** The socket that clients of this daemon use. */
  readonly socket: string;
  /** The kubeconfig for what only the API server knows; undefined for none. */
  readonly kubeconfig: string | undefined;
  /** What runs on the node, without containers' processes. */
  processes(): Promise<readonly ProcessFacts[]>;
  daemon(): Promise<DaemonFacts>;
  /** undefined where there is neither a kubelet nor a configuration of one. */
  kubelet(): Promise<KubeletFacts | undefined>;
  /** Where the daemon finds programs. */
  searchPath(): Promise<readonly string[]>;
}

export interface ConfigurationFacts {
  /** Why it cannot be used; then `config` is the defaults. */
  readonly problem: string | undefined;
  /** It could not even be read: nothing is known of it. */
  readonly isUnread: boolean;
  readonly warnings: readonly string[];
  readonly sources: readonly string[];
  /** The file that was named, or the usual one. */
  readonly file: string;
  /** Who says what a key is, as `loadConfig` tells it. */
  readonly originOf: (key: readonly string[]) => string;
}
