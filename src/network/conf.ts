// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { z } from "zod";
import { fault } from "../base/errors.ts";

/** Versions of the CNI specification spoken here, oldest first. */
const CNI_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** What a configuration without `cniVersion` means (CNI specification, section 1). */
const unversioned = "0.1.0";
const extensions = new Set([".conf", ".conflist", ".json"]);

/** One plugin of a chain. */
export interface PluginConf {
  readonly type: string;
  /** Names of the capability arguments it wants in `runtimeConfig`. */
  readonly capabilities: readonly string[];
  /** The plugin's object as written: what it is given on stdin, with the additions of the runtime. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** A network: a name and a chain of plugins. A single-plugin file is a chain of one. */
export interface NetworkConf {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly PluginConf[];
}

const pluginSchema = z.looseObject({
  type: z.string().regex(/^[^/]+$/, "is the name of a plugin, without a folder"),
  capabilities: z.record(z.string(), z.boolean()).nullish(),
});

const listSchema = z.looseObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "is letters, digits, _ . -"),
  cniVersion: z.string().optional(),
  cniVersions: z.array(z.string()).optional(),
  plugins: z.array(pluginSchema).min(1, "needs at least one plugin"),
});

const singleSchema = z.looseObject({
  name: listSchema.shape.name,
  cniVersion: listSchema.shape.cniVersion,
  cniVersions: listSchema.shape.cniVersions,
  ...pluginSchema.shape,
});

/** True for the names CNI reads: `.conf`, `.conflist`, `.json`. */
export function isConfName(name: string): boolean {
  return extensions.has(path.extname(name));
}

/**
 * Reads one configuration file's text. A list is told by its name (`.conflist`); a list under another
 * name is accepted too, since that is what its author meant. Throws INVALID_ARGUMENT naming the file
 * and the field.
 */
export function parseConf(file: string, text: string): NetworkConf {
  const json = parseJson(file, text);
  const isList = path.extname(file) === ".conflist" || (isRecord(json) && "plugins" in json);
  if (isList) {
    const list = check(file, listSchema, json);
    return {
      name: list.name,
      cniVersion: pickVersion(file, list.cniVersion, list.cniVersions),
      plugins: list.plugins.map((plugin) => pluginOf(plugin)),
    };
  }
  const single = check(file, singleSchema, json);
  return {
    name: single.name,
    cniVersion: pickVersion(file, single.cniVersion, single.cniVersions),
    plugins: [pluginOf(single)],
  };
}

function pluginOf(raw: z.infer<typeof pluginSchema>): PluginConf {
  const wanted = Object.entries(raw.capabilities ?? {}).filter(([, isWanted]) => isWanted);
  return { type: raw.type, capabilities: wanted.map(([name]) => name), raw };
}

/** The newest version that the file offers and we speak (`cniVersions` came with CNI 1.1). */
function pickVersion(
  file: string,
  single: string | undefined,
  several: readonly string[] | undefined,
): string {
  const offered = new Set([...(several ?? []), ...(single === undefined ? [] : [single])]);
  if (offered.size === 0) return unversioned;
  const best = CNI_VERSIONS.findLast((version) => offered.has(version));
  if (best !== undefined) return best;
  const what = [...offered].join(", ");
  throw invalid(file, `cniVersion ${what} is not among ${CNI_VERSIONS.join(", ")}`);
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(file, `not JSON: ${cause instanceof Error ? cause.message : ""}`, cause);
  }
}

function check<T>(file: string, schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.map((step) =>
    typeof step === "number" ? `[${step}]` : `.${String(step)}`,
  );
  const field = where?.join("").replace(/^\./, "") ?? "";
  throw invalid(file, `${field === "" ? "" : `${field}: `}${issue?.message ?? "is not valid"}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(file: string, problem: string, cause?: unknown): Error {
  return fault("INVALID_ARGUMENT", `CNI configuration "${file}": ${problem}`, { cause });
}
