// SPDX-License-Identifier: Apache-2.0
import type { FixedTableValues, FixedValues, NamedValues, TableValues, Values } from "./key.ts";
import type { daemon } from "./keys/daemon.ts";
import type { tables } from "./tables.ts";

export type { RuntimeOption } from "./kinds.ts";

type Tables = typeof tables;

/** The effective configuration: deep-frozen, nothing optional. Its keys are declared in src/config/keys. */
export type Config = Values<typeof daemon.keys> & {
  readonly [T in keyof Tables]: TableValues<Tables[T]>;
};

/** The keys that hold for a daemon's whole life. Every Config is one. */
export type StartConfig = FixedValues<typeof daemon.keys> & {
  readonly [T in keyof Tables]: FixedTableValues<Tables[T]>;
};

export type LogConfig = Config["log"];
export type CniConfig = Config["cni"];
export type RegistryConfig = Config["registry"];
export type ImagesConfig = Config["images"];
export type RuntimeConfig = Config["runtime"];
export type CriConfig = Config["cri"];
export type StreamingConfig = Config["streaming"];

export type RuntimeHandlerConfig = NamedValues<NonNullable<Tables["runtime"]["named"]>>;
export type OperatorPluginConfig = NamedValues<NonNullable<Tables["plugins"]["named"]>>;
