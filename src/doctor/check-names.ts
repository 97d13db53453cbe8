// SPDX-License-Identifier: Apache-2.0

/** The checks by name, in the order in which they are told: for command lines, which load no check for it. */
export const checkNames = [
  "config",
  "daemon",
  "sockets",
  "others",
  "kubelet",
  "names",
  "kernel",
  "sysctls",
  "cgroups",
  "runtimes",
  "classes",
  "cni",
  "firewall",
  "registries",
  "certificates",
  "plugins",
  "clock",
  "disk",
  "images",
  "stuck",
  "leftovers",
] as const;

export type CheckName = (typeof checkNames)[number];
