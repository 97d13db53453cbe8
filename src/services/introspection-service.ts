// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "../base/atomic-file.ts";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault } from "../base/errors.ts";
import { compileFilters } from "../base/filter.ts";
import { readBounded } from "../base/read-bounded.ts";
import type {
  IntrospectionDeprecationWarningInit,
  IntrospectionPluginInit,
} from "../gen/introspection.gen.ts";
import type { TypesRuntimeInfoInit } from "../gen/types.gen.ts";
import type { ProtoAnyInit } from "../gen/wellknown.gen.ts";
import type { PluginFacts } from "../plugin/plugin.ts";
import { packAny, unpackAny } from "../rpc/codec.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { statusOf } from "../rpc/status.ts";

const runtimePlugin = "io.containerd.runtime.v2.task";

/** What a runtime and its shim say of themselves. */
export type RuntimeInfoSource = (
  runtime: string,
  options: ProtoAnyInit | null,
  call: Cancellable,
) => Promise<TypesRuntimeInfoInit>;

export interface IntrospectionServicePorts {
  /** The plugins as they are now. */
  readonly plugins: () => readonly PluginFacts[];
  /** Identifies this installation; from `loadServerId`. */
  readonly uuid: string;
  /** Answers questions about a runtime and its shim; without it they are UNIMPLEMENTED. */
  readonly runtimeInfo?: RuntimeInfoSource;
  /** Warnings that `ctr` prints before every command; default none. */
  readonly deprecations?: () => readonly IntrospectionDeprecationWarningInit[];
}

/** containerd's Introspection service: the daemon's plugins, its id, and what it will stop supporting. */
export function createIntrospectionService(
  ports: IntrospectionServicePorts,
): ServiceImpl<"containerd.services.introspection.v1.Introspection"> {
  return {
    Plugins: async ({ filters }) => ({
      plugins: ports.plugins().filter(compileFilters(filters, pluginField)).map(pluginInit),
    }),
    Server: async () => ({
      uuid: ports.uuid,
      pid: BigInt(process.pid),
      pidns: statSync("/proc/self/ns/pid", { bigint: true }).ino,
      deprecations: ports.deprecations?.() ?? [],
    }),
    PluginInfo: async ({ type, id, options: question }, call) => {
      const facts = ports.plugins().find((one) => one.type === type && one.id === id);
      if (!facts) throw fault("NOT_FOUND", `plugin "${type}.${id}" not found`);
      const plugin = pluginInit(facts);
      if (!question?.type_url) return { plugin, extra: null };
      // No other plugin takes a question, and this one only that of its runtime.
      const asked = unpackAny("containerd.types.RuntimeRequest", question);
      if (!asked || !ports.runtimeInfo || pluginName(facts) !== runtimePlugin) {
        const name = pluginName(facts);
        throw fault("UNIMPLEMENTED", `plugin "${name}" does not answer ${question.type_url}`);
      }
      const info = await ports.runtimeInfo(asked.runtimePath, asked.options, call);
      return { plugin, extra: packAny("containerd.types.RuntimeInfo", info) };
    },
  };
}

/**
 * The installation's id, made at the first start and kept in this file. Where it cannot be written,
 * the daemon starts all the same, and makes another id at its next start.
 */
export async function loadServerId(file: string): Promise<string> {
  try {
    const id = (await readBounded(file, 256)).toString().trim();
    if (/^[0-9a-f-]{36}$/.test(id)) return id;
  } catch {
    // None yet, or none that can be read: a new one takes its place.
  }
  const id = randomUUID();
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFileAtomic(file, `${id}\n`);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
  return id;
}

function pluginName({ type, id }: PluginFacts): string {
  return `${type}.${id}`;
}

function pluginInit(facts: PluginFacts): IntrospectionPluginInit {
  return {
    type: facts.type,
    id: facts.id,
    requires: facts.requires,
    platforms: [{ os: "linux", architecture: goArchitecture(process.arch) }],
    exports: facts.exports,
    capabilities: facts.capabilities,
    initErr: facts.state.kind === "failed" ? statusOf(facts.state.error) : null,
  };
}

/** Node's name of a processor as Go, and so OCI, has it. */
function goArchitecture(arch: string): string {
  if (arch === "x64") return "amd64";
  return arch === "ia32" ? "386" : arch;
}

function pluginField(facts: PluginFacts, fieldPath: readonly string[]): string | undefined {
  const [head] = fieldPath;
  if (head === "type") return facts.type;
  if (head === "id") return facts.id;
  if (head === "capabilities") {
    return facts.capabilities.includes(fieldPath.slice(1).join(".")) ? "true" : undefined;
  }
  return undefined;
}
