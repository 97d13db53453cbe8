// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../../base/logger.ts";
import { cgroupMounts } from "../../base/os/mount-table.ts";
import type { Config } from "../../config/config.ts";
import { layoutOf } from "../../config/layout.ts";
import { onCommit, type ReloadPart } from "../../config/reload-port.ts";
import { createDefaultProfile, type DefaultAppArmorProfile } from "./apparmor/default-profile.ts";
import { createProfileKernel } from "./apparmor/profile-kernel.ts";
import { createBlockioClasses } from "./classes/blockio.ts";
import { createRdtGroups } from "./classes/rdt.ts";
import type { HostFacts, SpecServices } from "./ports.ts";

/** What specs need of the host; another profile or file of classes is a reload away. */
export interface ReloadableSpecServices extends Omit<SpecServices, "pulledProfile" | "profiles"> {
  readonly reload: readonly ReloadPart[];
}

/**
 * What specs need of the host. AppArmor's default profile is loaded meanwhile: nothing waits here. A
 * profile that cannot be had is told of and fails no reload, as it fails no start: it may come later.
 */
export function createSpecServices(
  { root, state, cri }: Pick<Config, "root" | "state" | "cri">,
  hostFacts: HostFacts,
  log: Logger,
  lifetime: AbortSignal,
): ReloadableSpecServices {
  const kernel = createProfileKernel();
  const profile = (name: string): DefaultAppArmorProfile =>
    createDefaultProfile({
      enabled: hostFacts.apparmor,
      name,
      stampFile: layoutOf({ root, state }).apparmorStamp,
      kernel,
      log,
      lifetime,
    });
  let byDefault = profile(cri.apparmorProfile);
  let blockio = createBlockioClasses(cri.blockioConfigFile);
  const ensure = (): void => {
    byDefault.ensure().catch(() => {}); // it logs; only the daemon's end makes it fail
  };
  blockio.read().catch((err: unknown) => {
    log.warn({ err }, "block I/O classes cannot be used");
  });
  ensure();
  return {
    rdt: createRdtGroups(),
    blockio: { read: () => blockio.read() },
    delegatesCgroups: async () =>
      (await cgroupMounts()).some(
        ({ type, superOptions }) => type === "cgroup2" && superOptions.includes("nsdelegate"),
      ),
    apparmor: {
      get byDefault() {
        return byDefault;
      },
      isLoaded: async (name) => (await kernel.loaded()).has(name),
    },
    reload: [
      {
        keys: ["cri.apparmorProfile"],
        prepare: async (next) => {
          const other = profile(next.cri.apparmorProfile);
          return onCommit(() => {
            byDefault = other;
            ensure();
          });
        },
      },
      {
        keys: ["cri.blockioConfigFile"],
        prepare: async (next) => {
          const other = createBlockioClasses(next.cri.blockioConfigFile);
          await other.read();
          return onCommit(() => {
            blockio = other;
          });
        },
      },
    ],
  };
}
