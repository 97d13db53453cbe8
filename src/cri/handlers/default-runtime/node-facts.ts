// SPDX-License-Identifier: Apache-2.0
import { access } from "node:fs/promises";
import type { RuntimeConfig, RuntimeHandlerConfig } from "../../../config/config.ts";
import type { HostFacts } from "../../oci-spec/ports.ts";
import { handlerFor } from "../handlers.ts";
import { findProgramFile, identityOf, type ProgramIdentity } from "./program-identity.ts";

/**
 * All that the choice of a runtime depends on. What was found by a trial holds while these are the same. JSON can hold
 * all of it.
 */
export interface NodeFacts {
  /** The table of the handler that is runc's. */
  readonly table: RuntimeHandlerConfig;
  readonly baseSpec: ProgramIdentity | null;
  readonly crun: ProgramIdentity | null;
  readonly runc: ProgramIdentity | null;
  readonly criu: boolean;
  /** There are groups of the processor's caches and memory to be in (resctrl). */
  readonly rdt: boolean;
  readonly kernel: string;
  readonly cgroups: string;
  readonly controllers: readonly string[];
  readonly seccomp: boolean;
  readonly apparmor: boolean;
  readonly selinux: boolean;
  /** Which sandbox image, and which version of the trial itself. */
  readonly trial: string;
}

export interface NodeFactsNeeds {
  readonly host: HostFacts;
  readonly pauseRootfs: string;
}

/** Raise it when a trial tries something else. */
const trialVersion = 1;

/** Looks for programs and files, and runs nothing. */
export async function readNodeFacts(
  runtime: RuntimeConfig,
  { host, pauseRootfs }: NodeFactsNeeds,
): Promise<NodeFacts> {
  const { config: table } = handlerFor({ ...runtime, defaultHandler: "" }, "");
  const [crun, runc, criu, baseSpec, rdt] = await Promise.all([
    findProgramFile("crun"),
    findProgramFile("runc"),
    findProgramFile("criu"),
    table.baseRuntimeSpec === "" ? undefined : identityOf(table.baseRuntimeSpec),
    access("/sys/fs/resctrl/info").then(
      () => true,
      () => false,
    ),
  ]);
  return {
    table,
    baseSpec: baseSpec ?? null,
    crun: crun ?? null,
    runc: runc ?? null,
    criu: criu !== undefined,
    rdt,
    kernel: host.kernelRelease,
    cgroups: `v${host.cgroupVersion}${host.cgroupHybrid ? " with v2 beside it" : ""}`,
    controllers: host.cgroupControllers,
    seccomp: host.seccomp,
    apparmor: host.apparmor,
    selinux: host.selinux,
    trial: `${trialVersion} ${pauseRootfs}`,
  };
}
