// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { z } from "zod";
import { fault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";
import { cniVersions, unversioned } from "./versions.ts";

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
  /** The versions offered that we speak, oldest first; more than one only by `cniVersions` (CNI 1.1). */
  readonly offered: readonly string[];
  /** Set where the configuration's author wants no CHECK of it, or no GC. */
  readonly disableCheck: boolean;
  readonly disableGc: boolean;
  readonly plugins: readonly PluginConf[];
}

const pluginSchema = z.looseObject({
  type: z.string().regex(/^(?!\.{1,2}$)[^/\0]+$/, "is the name of a plugin, without a folder"),
  capabilities: z.record(z.string(), z.boolean()).nullish(),
});

/** Booleans are taken as text too, as CNI's own library does. */
const flagSchema = z
  .union([z.boolean(), z.enum(["true", "false"]).transform((text) => text === "true")])
  .default(false);

const listSchema = z.looseObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "is letters, digits, _ . -"),
  cniVersion: z.string().optional(),
  cniVersions: z.array(z.string()).optional(),
  disableCheck: flagSchema,
  disableGC: flagSchema,
  loadOnlyInlinedPlugins: flagSchema,
  plugins: z.array(pluginSchema).default([]),
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

/** A plugin of a network in a file of its own, in the folder with the network's name (CNI 1.1). */
export interface DropIn {
  readonly file: string;
  readonly text: string;
}

/**
 * Reads one configuration file's text, and its network's drop-ins. A list is recognised by its name (`.conflist`); a
 * list under another name is accepted too, since that is what its author meant. Throws INVALID_ARGUMENT naming the
 * file and the field.
 */
export function parseConf(
  file: string,
  text: string,
  dropIns: ReadonlyMap<string, readonly DropIn[]> = new Map(),
): NetworkConf {
  const json = parseJson(file, text);
  const isList = path.extname(file) === ".conflist" || (isRecord(json) && "plugins" in json);
  if (isList) {
    const list = check(file, listSchema, json);
    const more = list.loadOnlyInlinedPlugins ? [] : (dropIns.get(list.name) ?? []);
    const plugins = [...list.plugins.map((plugin) => pluginOf(plugin)), ...more.map(parseDropIn)];
    if (plugins.length === 0) throw invalid(file, "plugins: needs at least one plugin");
    return {
      name: list.name,
      ...versionsOf(file, list.cniVersion, list.cniVersions),
      disableCheck: list.disableCheck,
      disableGc: list.disableGC,
      plugins,
    };
  }
  const single = check(file, singleSchema, json);
  return {
    name: single.name,
    ...versionsOf(file, single.cniVersion, single.cniVersions),
    disableCheck: false,
    disableGc: false,
    plugins: [pluginOf(single)],
  };
}

function parseDropIn({ file, text }: DropIn): PluginConf {
  return pluginOf(check(file, pluginSchema, parseJson(file, text)));
}

function pluginOf(raw: z.infer<typeof pluginSchema>): PluginConf {
  const wanted = Object.entries(raw.capabilities ?? {}).filter(([, isWanted]) => isWanted);
  return { type: raw.type, capabilities: wanted.map(([name]) => name), raw };
}

/** The newest version that the file offers and we speak, and all of those. */
function versionsOf(
  file: string,
  single: string | undefined,
  several: readonly string[] | undefined,
): Pick<NetworkConf, "cniVersion" | "offered"> {
  const named = new Set([...(several ?? []), ...(single === undefined ? [] : [single])]);
  if (named.size === 0) return { cniVersion: unversioned, offered: [unversioned] };
  const offered = cniVersions.filter((version) => named.has(version));
  const newest = offered.at(-1);
  if (newest !== undefined) return { cniVersion: newest, offered };
  const what = [...named].join(", ");
  throw invalid(file, `cniVersion ${what} is not among ${cniVersions.join(", ")}`);
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Its message quotes the text, which may have a datastore's password; it says the place for some errors only.
    const [place = ""] = / \(line \d+ column \d+\)/.exec(String(error)) ?? [];
    throw invalid(file, `not JSON${place}`);
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

function invalid(file: string, problem: string): Error {
  return fault("INVALID_ARGUMENT", `CNI configuration "${file}": ${shortened(problem, 600)}`);
}
