// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Logger } from "../base/logger.ts";
import type { Config } from "../config/config.ts";
import { createDefaultProfile } from "../cri/spec/apparmor/default-profile.ts";
import { createProfileKernel } from "../cri/spec/apparmor/profile-kernel.ts";
import { createBlockioClasses } from "../cri/spec/classes/blockio.ts";
import { createRdtGroups } from "../cri/spec/classes/rdt.ts";
import type { HostFacts, SpecServices } from "../cri/spec/ports.ts";

/** What specs need of the host. AppArmor's default profile is loaded meanwhile: nothing waits here. */
export function createSpecServices(
  { state, cri }: Config,
  hostFacts: HostFacts,
  log: Logger,
  lifetime: AbortSignal,
): SpecServices {
  const kernel = createProfileKernel();
  const byDefault = createDefaultProfile({
    enabled: hostFacts.apparmor,
    name: cri.apparmorProfile,
    stampFile: path.join(state, "apparmor-profile"),
    kernel,
    log,
    lifetime,
  });
  const blockio = createBlockioClasses(cri.blockioConfigFile);
  blockio.read().catch((err: unknown) => {
    log.warn({ err }, "block I/O classes cannot be used");
  });
  byDefault.ensure().catch(() => {}); // it logs; only the daemon's end makes it fail
  return {
    rdt: createRdtGroups(),
    blockio,
    apparmor: { byDefault, isLoaded: async (name) => (await kernel.loaded()).has(name) },
  };
}
