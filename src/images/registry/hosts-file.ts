// SPDX-License-Identifier: Apache-2.0
import { parse, TomlError } from "smol-toml";
import { z } from "zod";
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { nearestName } from "../../base/nearest-name.ts";
import { shortened } from "../../base/shortened.ts";
import { goObject } from "../manifest/go-json.ts";
import { parseGoDuration } from "./go-duration.ts";

const oneOrMore = z.union([z.string(), z.array(z.string())], {
  error: "expected a string or a list of strings",
});
const clientFiles = z.union(
  [z.string(), z.array(z.union([z.string(), z.array(z.string()).min(1).max(2)]))],
  { error: "expected a file, or a list of files and pairs of certificate and key" },
);
/** What a header's name and value may hold. An error never quotes a value: it may be a secret. */
const headerName = /^[!#$%&'*+.^_`|~\w-]+$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;
const headers = z.record(z.string(), oneOrMore).superRefine((table, context) => {
  for (const [name, value] of Object.entries(table)) {
    const isSound = headerName.test(name) && listOf(value).every((one) => headerValue.test(one));
    if (!isSound) context.addIssue({ code: "custom", path: [name], message: "is not a header" });
  }
});
const duration = z.string().transform((text, context) => {
  const ms = text === "" ? 0 : parseGoDuration(text);
  if (ms !== undefined) return ms;
  context.addIssue({ code: "custom", message: `"${text}" is no duration such as "5s"` });
  return z.NEVER;
});
const hostFields = {
  capabilities: z.array(z.string()).optional(),
  ca: oneOrMore.optional(),
  client: clientFiles.optional(),
  skip_verify: z.boolean().optional(),
  header: headers.optional(),
  override_path: z.boolean().optional(),
  dial_timeout: duration.optional(),
};
// The format is containerd's and grows: unknown keys and capabilities are ignored. Keys count in any case, as there.
const hostSchema = goObject(hostFields);
const fileSchema = goObject({
  server: z.string().optional(),
  ...hostFields,
  host: z.record(z.string(), hostSchema).optional(),
});

/** The settings of one host: a `[host."…"]` table, or the top of the file for `server`. */
export type HostTable = z.infer<typeof hostSchema>;
export type HostsFile = z.infer<typeof fileSchema>;

/**
 * Reads the text of a hosts.toml; `onStray` hears of keys that are passed over. FAILED_PRECONDITION with the file and the
 * key or line.
 */
export function readHostsFile(
  text: string,
  file: string,
  onStray: (sentence: string) => void = () => {},
): HostsFile {
  try {
    const document = parse(text);
    const read = fileSchema.parse(document);
    for (const stray of strayKeys(document).slice(0, mostStray)) onStray(`${file}: ${stray}`);
    return read;
  } catch (error) {
    if (error instanceof z.ZodError) {
      const [issue] = error.issues;
      const problem = `${issue?.path.join(".")}: ${issue?.message}`;
      throw fault("FAILED_PRECONDITION", `${file}: ${shortened(problem, 600)}`);
    }
    if (error instanceof TomlError) {
      const what = error.message.split("\n")[0]?.replace("Invalid TOML document: ", "") ?? "";
      const where = `${file}:${error.line}:${error.column}`;
      throw fault("FAILED_PRECONDITION", `${where}: not valid TOML: ${shortened(what, 300)}`);
    }
    throw error;
  }
}

const mostStray = 20;

function strayKeys(document: Readonly<Record<string, unknown>>): string[] {
  const found = strayIn(document, ["server", "host", ...Object.keys(hostFields)], "");
  for (const [key, hosts] of Object.entries(document)) {
    if (key.toLowerCase() !== "host" || !isRecord(hosts)) continue;
    for (const [name, table] of Object.entries(hosts)) {
      const where = ` of host "${shortened(name, 100)}"`;
      if (isRecord(table)) found.push(...strayIn(table, Object.keys(hostFields), where));
    }
  }
  return found;
}

function strayIn(
  table: Readonly<Record<string, unknown>>,
  known: readonly string[],
  where: string,
): string[] {
  return Object.keys(table)
    .filter((key) => !known.includes(key.toLowerCase()))
    .map((key) => {
      const near = nearestName(key, known);
      const hint = near === undefined ? "" : ` (did you mean "${near}"?)`;
      return `key "${shortened(key, 100)}"${where} is not known, it is passed over${hint}`;
    });
}

/** `client`: certificates, alone or each with its key's file. */
export function clientPairs(client: HostTable["client"]): [string, string][] {
  return listOf<string | string[]>(client).map((entry) => {
    const [cert = "", key = ""] = listOf(entry);
    return [cert, key || cert];
  });
}

export function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}
