// SPDX-License-Identifier: Apache-2.0
import type { Check } from "./check.ts";
import { type CheckName, checkNames } from "./check-names.ts";
import { certificates } from "./checks/certificates.ts";
import { cgroups } from "./checks/cgroups.ts";
import { clock } from "./checks/clock.ts";
import { configuration } from "./checks/configuration.ts";
import { daemon } from "./checks/daemon.ts";
import { disk } from "./checks/disk.ts";
import { firewall } from "./checks/firewall.ts";
import { images } from "./checks/images.ts";
import { kernel } from "./checks/kernel.ts";
import { kubelet } from "./checks/kubelet.ts";
import { leftovers } from "./checks/leftovers.ts";
import { names } from "./checks/names.ts";
import { networks } from "./checks/networks.ts";
import { otherRuntimes } from "./checks/other-runtimes.ts";
import { plugins } from "./checks/plugins.ts";
import { registries } from "./checks/registries.ts";
import { runtimeClasses } from "./checks/runtime-classes.ts";
import { runtimes } from "./checks/runtimes.ts";
import { sockets } from "./checks/sockets.ts";
import { stuck } from "./checks/stuck.ts";
import { sysctls } from "./checks/sysctls.ts";

const byName: Readonly<Record<CheckName, Check>> = {
  config: configuration,
  daemon,
  sockets,
  others: otherRuntimes,
  kubelet,
  names,
  kernel,
  sysctls,
  cgroups,
  runtimes,
  classes: runtimeClasses,
  cni: networks,
  firewall,
  registries,
  certificates,
  plugins,
  clock,
  disk,
  images,
  stuck,
  leftovers,
};

/** What the doctor looks at: all of it, or what is named. */
export function checksNamed(wanted: readonly CheckName[]): readonly Check[] {
  const chosen =
    wanted.length === 0 ? checkNames : checkNames.filter((name) => wanted.includes(name));
  return chosen.map((name) => byName[name]);
}
