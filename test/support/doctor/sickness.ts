// SPDX-License-Identifier: Apache-2.0
import type { MadeNode } from "./made-node.ts";

/** Something that can be wrong with a node, and what the doctor says of it. */
export interface Sickness {
  readonly name: string;
  readonly check: string;
  readonly make: (node: MadeNode) => Promise<void>;
  readonly level: "note" | "warning" | "error";
  readonly says: RegExp;
  /** What the finding says to do, where no command can be tried. */
  readonly advises?: RegExp;
  /** What it says that it leads to. */
  readonly leadsTo?: RegExp;
  /** Where the printed command mends it: afterwards nothing of that kind is found. */
  readonly mends?: boolean;
}

export const berthdToml = "/etc/berthd/config.toml";
export const kubeletConf = "/etc/kubernetes/kubelet.conf";
export const kubeletYaml = "/var/lib/kubelet/config.yaml";
