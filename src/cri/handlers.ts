// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { RuntimeConfig, RuntimeHandlerConfig } from "../config/config.ts";
import type { ProtoAny, RuncOptionsInit } from "../gen/tasks.gen.ts";
import { packAny } from "../rpc/codec.ts";

/** A configured runtime handler under the name it has in the configuration. */
export interface Handler {
  readonly name: string;
  readonly config: RuntimeHandlerConfig;
}

/** The handler a request names, "" being the default. NOT_FOUND when none is configured under it. */
export function handlerFor(runtime: RuntimeConfig, requested: string): Handler {
  const name = requested === "" ? runtime.defaultHandler : requested;
  const config = Object.hasOwn(runtime.handlers, name) ? runtime.handlers[name] : undefined;
  if (config) return { name, config };
  throw fault("NOT_FOUND", `no runtime for "${name}" is configured`);
}

type OptionValue = string | number | boolean;

/** Options of containerd.runc.v1.Options as TOML users write them, by lower-case letters only. */
const runcOptions: Readonly<Record<string, keyof RuncOptionsInit>> = {
  nopivotroot: "noPivotRoot",
  nonewkeyring: "noNewKeyring",
  shimcgroup: "shimCgroup",
  iouid: "ioUid",
  iogid: "ioGid",
  binaryname: "binaryName",
  root: "root",
  systemdcgroup: "systemdCgroup",
  criuimagepath: "criuImagePath",
  criuworkpath: "criuWorkPath",
};

/**
 * The runtime options of a handler as the message its shim reads, `extra` winning. INVALID_ARGUMENT for
 * an unknown one.
 */
export function runtimeOptions(handler: Handler, extra: RuncOptionsInit = {}): ProtoAny {
  const { config } = handler;
  const options: Record<string, OptionValue> = {};
  for (const [key, value] of Object.entries(config.options)) {
    const field = runcOptions[key.replaceAll("_", "").toLowerCase()];
    if (field === undefined) {
      throw fault("INVALID_ARGUMENT", `runtime "${handler.name}" has an unknown option "${key}"`);
    }
    options[field] = value;
  }
  if (config.binaryName !== "") options["binaryName"] = config.binaryName;
  if (config.systemdCgroup) options["systemdCgroup"] = true;
  return packAny("containerd.runc.v1.Options", { ...(options as RuncOptionsInit), ...extra });
}

/** The options as names and values, for verbose answers. */
export function describeOptions(handler: Handler): Record<string, OptionValue> {
  return {
    ...handler.config.options,
    ...(handler.config.binaryName === "" ? {} : { BinaryName: handler.config.binaryName }),
    SystemdCgroup: handler.config.systemdCgroup,
  };
}
