// SPDX-License-Identifier: Apache-2.0
import { parse, TomlError } from "smol-toml";
import { z } from "zod";
import { fault } from "../../base/errors.ts";
import { shortened } from "../../base/shortened.ts";
import { goObject } from "../manifest/go-json.ts";
import { parseGoDuration } from "./go-duration.ts";

const oneOrMore = z.union([z.string(), z.array(z.string())]);
const clientFiles = z.union([
  z.string(),
  z.array(z.union([z.string(), z.array(z.string()).min(1).max(2)])),
]);
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

/** Reads the text of a hosts.toml. FAILED_PRECONDITION with the file and the key or line. */
export function readHostsFile(text: string, file: string): HostsFile {
  try {
    return fileSchema.parse(parse(text));
  } catch (error) {
    if (error instanceof z.ZodError) {
      const [issue] = error.issues;
      const problem = `${issue?.path.join(".")}: ${issue?.message}`;
      throw fault("FAILED_PRECONDITION", `${file}: ${shortened(problem, 600)}`);
    }
    if (error instanceof TomlError) {
      throw fault("FAILED_PRECONDITION", `${file}:${error.line}: not TOML`);
    }
    throw error;
  }
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
