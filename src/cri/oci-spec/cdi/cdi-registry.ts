// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../base/errors.ts";
import { type CdiEdits, type CdiSpec, parseCdiSpec } from "./cdi-spec.ts";

/** Where vendors put their files; of one device's two definitions the later folder's wins. */
export const cdiFolders: readonly string[] = ["/etc/cdi", "/var/run/cdi"];

const maxFileBytes = 4 * 1024 * 1024;
const maxFiles = 1000;
/** Of the files that could not be used, so many are told. */
const maxTold = 10;

/** Why a device cannot be had. */
export class CdiProblem extends Error {}

/** The devices that the files of the CDI folders define, read anew for every container that asks. */
export class CdiRegistry {
  readonly #devices = new Map<string, { readonly folder: number; readonly edits: CdiEdits[] }>();
  /** Defined by two files of one folder: nobody knows which is meant, whatever a later folder says. */
  readonly #conflicts = new Set<string>();
  readonly #unusable: string[] = [];

  static async read(folders: readonly string[] = cdiFolders): Promise<CdiRegistry> {
    const registry = new CdiRegistry();
    for (const [priority, folder] of folders.entries()) {
      for (const name of await registry.#filesOf(folder)) {
        await registry.#readFile(path.join(folder, name), priority);
      }
    }
    return registry;
  }

  /**
   * The edits of fully named devices (`vendor.com/class=name`) in order; edits that a file makes for
   * all its devices come once, before them. Throws CdiProblem naming every device it cannot resolve.
   */
  resolve(names: readonly string[]): CdiEdits[] {
    const edits = new Set<CdiEdits>();
    const missing: string[] = [];
    for (const name of new Set(names)) {
      const device = this.#devices.get(name);
      if (device === undefined || this.#conflicts.has(name)) missing.push(name);
      else for (const edit of device.edits) edits.add(edit);
    }
    if (missing.length > 0) throw new CdiProblem(this.#explain(missing));
    return [...edits];
  }

  async #readFile(file: string, folder: number): Promise<void> {
    if (file.endsWith(".yml")) this.#unusable.push(`${file} (its name must end in .yaml)`);
    const format = file.endsWith(".json") ? "json" : file.endsWith(".yaml") ? "yaml" : undefined;
    if (format === undefined) return;
    try {
      this.#add(parseCdiSpec(await readBounded(file), format), folder);
    } catch (error) {
      this.#unusable.push(`${file} (${error instanceof Error ? error.message : String(error)})`);
    }
  }

  #add(spec: CdiSpec, folder: number): void {
    for (const device of spec.devices) {
      const name = `${spec.kind}=${device.name}`;
      if (this.#devices.get(name)?.folder === folder) this.#conflicts.add(name);
      const edits = [spec.containerEdits, device.containerEdits].filter(
        (edit) => edit !== undefined,
      );
      this.#devices.set(name, { folder, edits });
    }
  }

  #explain(missing: readonly string[]): string {
    const reasons = missing.map((name) =>
      this.#conflicts.has(name) ? `${name} (defined by two files)` : name,
    );
    const told = this.#unusable.slice(0, maxTold);
    if (told.length < this.#unusable.length)
      told.push(`and ${this.#unusable.length - told.length} more`);
    const skipped = told.length === 0 ? "" : `; not used: ${told.join(", ")}`;
    return `cannot resolve ${reasons.join(", ")}${skipped}`;
  }

  /** A folder that cannot be read, or holds too much, costs only itself. */
  async #filesOf(folder: string): Promise<string[]> {
    try {
      const names = (await readdir(folder)).sort();
      if (names.length > maxFiles)
        this.#unusable.push(`${folder} (only the first ${maxFiles} of its ${names.length} files)`);
      return names.slice(0, maxFiles);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== "ENOENT" && errno !== "ENOTDIR") this.#unusable.push(`${folder} (${errno})`);
      return [];
    }
  }
}

/** A regular file's text; never waits for what somebody else would have to write. */
async function readBounded(file: string): Promise<string> {
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const { size } = await regular(handle);
  if (size > maxFileBytes) throw new Error(`it is larger than ${maxFileBytes} bytes`);
  const bytes = Buffer.alloc(size);
  const { bytesRead } = await handle.read(bytes, 0, size, 0);
  return bytes.toString("utf8", 0, bytesRead);
}

async function regular(handle: Awaited<ReturnType<typeof open>>): Promise<{ size: number }> {
  const stats = await handle.stat();
  if (!stats.isFile()) throw new Error("it is no regular file");
  return stats;
}
