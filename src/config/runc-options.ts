// SPDX-License-Identifier: Apache-2.0
import type { RuncOptionsInit } from "../gen/shim.gen.ts";

/** The fields of containerd.runc.v1.Options, all of them, with the names that containerd's configuration gives them. */
export const runcOptionNames: Readonly<Record<keyof RuncOptionsInit, string>> = {
  root: "Root",
  noPivotRoot: "NoPivotRoot",
  noNewKeyring: "NoNewKeyring",
  shimCgroup: "ShimCgroup",
  ioUid: "IoUid",
  ioGid: "IoGid",
  binaryName: "BinaryName",
  systemdCgroup: "SystemdCgroup",
  criuImagePath: "CriuImagePath",
  criuWorkPath: "CriuWorkPath",
  taskApiAddress: "TaskApiAddress",
  taskApiVersion: "TaskApiVersion",
};

/** Names of the options that have no key of their own in a handler's table. */
export const furtherRuncOptions: readonly string[] = Object.values(runcOptionNames).filter(
  (name) => name !== "BinaryName" && name !== "SystemdCgroup",
);

/** Whether a runtime name is that of runc's shims, whose options are a message of their own. */
export function isRuncType(type: string): boolean {
  return type.startsWith("io.containerd.runc.");
}
