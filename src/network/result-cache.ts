// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { errnoOf } from "../base/errors.ts";
import { readBounded } from "../base/read-bounded.ts";

const suffix = ".json";
/** Of a record that is being written. A file that still has it was left by a daemon that was killed. */
const newSuffix = `${suffix}.new`;
/** Far more than a request may bring. */
const maxBytes = 64 * 1024 * 1024;

const pluginSchema = z.object({
  type: z.string(),
  capabilities: z.array(z.string()),
  raw: z.record(z.string(), z.unknown()),
  /** ADD was left out because it would only have passed its prevResult on; so is DEL. */
  skipped: z.boolean(),
});

const attachmentSchema = z.object({
  name: z.string(),
  cniVersion: z.string(),
  ifName: z.string(),
  disableCheck: z.boolean().default(false),
  plugins: z.array(pluginSchema),
  /** What the chain's last plugin printed; undefined until ADD has ended. */
  result: z.unknown().optional(),
});

const recordSchema = z.object({
  version: z.literal(1),
  sandboxId: z.string(),
  args: z.string(),
  capabilityArgs: z.record(z.string(), z.unknown()),
  attachments: z.array(attachmentSchema),
  /** The sandbox is gone, though DEL never succeeded: what is left belongs to nobody. */
  abandoned: z.boolean().default(false),
});

/** A pod's place in one network. */
export type Attachment = z.infer<typeof attachmentSchema>;
/** All that DEL needs, as it was for ADD: the configuration may have changed since. */
export type NetworkRecord = z.infer<typeof recordSchema>;

/**
 * One JSON file a sandbox, written before ADD and again after it, so that after a crash the next daemon can undo what
 * ADD had done by then. Files are replaced by rename but not flushed: a crash of the machine ends the pods too, and
 * DEL then works from the present configuration.
 */
export class ResultCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async put(record: NetworkRecord): Promise<void> {
    const file = this.#file(record.sandboxId);
    const text = JSON.stringify(record);
    const options = { mode: 0o600, flag: "wx" };
    try {
      await writeFile(`${file}.new`, text, options);
    } catch (error) {
      if (errnoOf(error) === "EEXIST") await rm(`${file}.new`, { recursive: true, force: true });
      else if (errnoOf(error) !== "ENOENT") throw error;
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(`${file}.new`, text, options);
    }
    await rename(`${file}.new`, file);
  }

  /** undefined when there is none, or none that can be read. */
  async get(sandboxId: string): Promise<NetworkRecord | undefined> {
    try {
      const json: unknown = JSON.parse(String(await readBounded(this.#file(sandboxId), maxBytes)));
      return recordSchema.parse(json);
    } catch (error) {
      // A failing disk must not pass for "no record"; a file that is none, or no JSON, does.
      if (errnoOf(error) === undefined || ["ENOENT", "ELOOP"].includes(errnoOf(error) ?? "")) {
        return undefined;
      }
      throw error;
    }
  }

  /** All records, and the ids of those that cannot be read. */
  async all(): Promise<{
    readonly records: readonly NetworkRecord[];
    readonly unreadable: readonly string[];
  }> {
    const ids = await this.list();
    const found = await Promise.all(ids.map(async (id) => [id, await this.get(id)] as const));
    return {
      records: found.flatMap(([, record]) => (record === undefined ? [] : [record])),
      unreadable: found.flatMap(([id, record]) => (record === undefined ? [id] : [])),
    };
  }

  async remove(sandboxId: string): Promise<void> {
    const file = this.#file(sandboxId);
    // A link or folder in its place, which we never made, must not keep the record from being written.
    try {
      await rm(`${file}.new`, { recursive: true, force: true });
    } finally {
      await rm(file, { force: true });
    }
  }

  /** Ids of the sandboxes that have a record. */
  list(): Promise<readonly string[]> {
    return this.#idsOf(suffix);
  }

  /** At the start: the ids whose record was being written when the last daemon was killed. */
  listUnfinished(): Promise<readonly string[]> {
    return this.#idsOf(newSuffix);
  }

  async #idsOf(ending: string): Promise<readonly string[]> {
    try {
      const names = await readdir(this.#folder);
      return names.filter((name) => name.endsWith(ending)).flatMap((name) => idOf(name, ending));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  }

  #file(sandboxId: string): string {
    return path.join(this.#folder, `${encodeURIComponent(sandboxId)}${suffix}`);
  }
}

/** The sandbox id in a file's name; empty for a name that we did not make. */
function idOf(name: string, ending: string): string[] {
  try {
    return [decodeURIComponent(name.slice(0, -ending.length))];
  } catch {
    return [];
  }
}
