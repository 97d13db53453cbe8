// SPDX-License-Identifier: Apache-2.0
import { access } from "node:fs/promises";
import type { RuntimeConfig, RuntimeHandlerConfig } from "../../../config/config.ts";
import type { HostFacts } from "../../oci-spec/ports.ts";
import { handlerFor } from "../handlers.ts";
import { findProgramFile, identityOf, type ProgramIdentity } from "./program-identity.ts";
import { layUnseen, mustNotSeeCgroup2, type UnseenCrun } from "./unseen-cgroups.ts";

/**
 * All that the choice of a runtime depends on. What was found by a trial holds while these are the same. JSON can hold
 * all of it.
 */
export interface NodeFacts {
  /** The table of the handler that is runc's. */
  readonly table: RuntimeHandlerConfig;
  readonly baseSpec: ProgramIdentity | null;
  readonly crun: ProgramIdentity | null;
  /** What crun is run by, where it must not see the cgroup v2 tree. */
  readonly unseen: ProgramIdentity | null;
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
  readonly unseen: UnseenCrun;
}

/** Raise it when a trial tries something else. */
const trialVersion = 2;

/** Looks for programs and files, lays out that for crun where it is needed, and runs nothing. */
export async function readNodeFacts(
  runtime: RuntimeConfig,
  { host, pauseRootfs, unseen: place }: NodeFactsNeeds,
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
  const isUnseen = crun !== undefined && host.cgroupHybrid && (await mustNotSeeCgroup2());
  const unseen = isUnseen ? await layUnseen(place, crun) : undefined;
  return {
    table,
    baseSpec: baseSpec ?? null,
    crun: crun ?? null,
    unseen: unseen ?? null,
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
