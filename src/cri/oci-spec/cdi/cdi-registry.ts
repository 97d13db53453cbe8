// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../base/errors.ts";
import type { CdiEdits, CdiSpec } from "./cdi-spec.ts";

/** Where vendors put their files; of one device's two definitions the later folder's wins. */
export const cdiFolders: readonly string[] = ["/etc/cdi", "/var/run/cdi"];

const maxFileBytes = 4 * 1024 * 1024;
const maxFiles = 1000;
/** Of the files that could not be used, so many are told. */
const maxTold = 10;

/** Why a device cannot be had. */
export class CdiProblem extends Error {}

/** What one file adds for one device, or for all its devices. */
export interface SourcedEdits {
  readonly edits: CdiEdits;
  /** Whose they are, for errors: `vendor.com/class=name (/etc/cdi/x.json)`. */
  readonly source: string;
}

interface Definition {
  readonly folder: number;
  readonly file: string;
  readonly edits: readonly SourcedEdits[];
}

/** The devices that the files of the CDI folders define, read anew for every container that asks. */
export class CdiRegistry {
  readonly #devices = new Map<string, Definition>();
  /** Defined by two files of one folder: nobody knows which is meant, whatever a later folder says. */
  readonly #conflicts = new Map<string, string>();
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
  resolve(names: readonly string[]): SourcedEdits[] {
    const edits = new Set<SourcedEdits>();
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
      // Most nodes have no such file: YAML and the form of these are loaded with the first.
      const { parseCdiSpec } = await import("./cdi-spec.ts");
      this.#add(parseCdiSpec(await readBounded(file), format), folder, file);
    } catch (error) {
      this.#unusable.push(`${file} (${error instanceof Error ? error.message : String(error)})`);
    }
  }

  #add({ kind, containerEdits, devices }: CdiSpec, folder: number, file: string): void {
    const ofAll =
      containerEdits === undefined ? [] : [{ edits: containerEdits, source: `${kind} (${file})` }];
    for (const device of devices) {
      const name = `${kind}=${device.name}`;
      const other = this.#devices.get(name);
      if (other?.folder === folder) this.#conflicts.set(name, `${other.file} and ${file}`);
      const own = { edits: device.containerEdits, source: `${name} (${file})` };
      this.#devices.set(name, { folder, file, edits: [...ofAll, own] });
    }
  }

  #explain(missing: readonly string[]): string {
    const reasons = missing.map((name) => {
      const files = this.#conflicts.get(name);
      return files === undefined ? name : `${name} (defined by two files, ${files})`;
    });
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
