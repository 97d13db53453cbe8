// SPDX-License-Identifier: Apache-2.0
import { stringify } from "smol-toml";
import { fault } from "../../base/errors.ts";
import type { RuntimeConfig, RuntimeHandlerConfig, RuntimeOption } from "../../config/config.ts";
import { isRuncType, runcOptionNames } from "../../config/runc-options.ts";
import type { RuncOptionsInit } from "../../gen/shim.gen.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { packAny } from "../../rpc/codec.ts";
import type { RuntimeFeatures } from "../oci-spec/ports.ts";

/** A configured runtime handler under the name it has in the configuration. */
export interface Handler {
  readonly name: string;
  readonly config: RuntimeHandlerConfig;
}

/**
 * What a pod was made with, which it keeps: its later containers have the same shim and OCI runtime,
 * also when the handler has another configuration by then, or none.
 */
export interface PodHandler extends Handler {
  readonly features: RuntimeFeatures;
}

/** The handler that is there without a configuration, and that pods have which name none where it names none either. */
const usualHandler = "runc";

/**
 * The handler a request names, "" being the default as the configuration has it: whether crun takes runc's place in
 * that is DefaultRuntime's to say. NOT_FOUND when none is configured under the name.
 */
export function handlerFor(runtime: RuntimeConfig, requested: string): Handler {
  const name = requested || runtime.defaultHandler || usualHandler;
  const config = Object.hasOwn(runtime.handlers, name) ? runtime.handlers[name] : undefined;
  if (config) return { name, config };
  throw fault("NOT_FOUND", `no runtime for "${name}" is configured`);
}

/** Field of containerd.runc.v1.Options by its lower-case name: the configuration may spell it in either way. */
const runcFields: ReadonlyMap<string, string> = new Map(
  Object.keys(runcOptionNames).map((field) => [field.toLowerCase(), field]),
);

/**
 * The runtime options of a handler as the message its shim reads; null for none. `extra` are a task's
 * own, for runc shims, and win there. INVALID_ARGUMENT for an option that runc shims do not have,
 * FAILED_PRECONDITION for a restore by a shim of another kind.
 */
export function runtimeOptions(handler: Handler, extra: RuncOptionsInit = {}): ProtoAny | null {
  if (isRuncType(handler.config.type)) return runcMessage(handler, extra);
  if (extra.criuImagePath) {
    throw fault("FAILED_PRECONDITION", `runtime "${handler.name}" cannot restore a checkpoint`);
  }
  return genericMessage(handler.config.options);
}

function runcMessage({ name, config }: Handler, extra: RuncOptionsInit): ProtoAny {
  const options: Record<string, RuntimeOption> = {};
  for (const [key, value] of Object.entries(config.options)) {
    const field = runcFields.get(key.replaceAll("_", "").toLowerCase());
    if (field === undefined) {
      throw fault("INVALID_ARGUMENT", `runtime "${name}" has an unknown option "${key}"`);
    }
    options[field] = value;
  }
  if (config.binaryName !== "") options["binaryName"] = config.binaryName;
  if (config.systemdCgroup) options["systemdCgroup"] = true;
  return packAny("containerd.runc.v1.Options", { ...(options as RuncOptionsInit), ...extra });
}

/**
 * Any other shim gets the table as it stands: the path of its own file when there is one, else the
 * whole table as TOML. Without a table it gets nothing, and reads what it reads by default.
 */
function genericMessage(options: RuntimeHandlerConfig["options"]): ProtoAny | null {
  if (Object.keys(options).length === 0) return null;
  const configPath = textOf(options["ConfigPath"]);
  return packAny("runtimeoptions.v1.Options", {
    typeUrl: textOf(options["TypeUrl"]),
    configPath,
    configBody: configPath === "" ? Buffer.from(stringify(options)) : Buffer.alloc(0),
  });
}

function textOf(value: RuntimeOption | undefined): string {
  return typeof value === "string" ? value : "";
}

/** The options as names and values, for verbose answers. */
export function describeOptions(handler: Handler): Record<string, RuntimeOption> {
  const { options, binaryName, systemdCgroup, type } = handler.config;
  if (!isRuncType(type)) return { ...options };
  return {
    ...options,
    ...(binaryName === "" ? {} : { BinaryName: binaryName }),
    SystemdCgroup: systemdCgroup,
  };
}
