// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../../base/errors.ts";
import { type CdiEdits, type CdiSpec, parseCdiSpec } from "./cdi-spec.ts";

/** Where vendors put their files; of one device's two definitions the later folder's wins. */
export const cdiFolders: readonly string[] = ["/etc/cdi", "/var/run/cdi"];

/** Why a device cannot be had. */
export class CdiProblem extends Error {}

/** The devices that the files of the CDI folders define, read anew for every container that asks. */
export class CdiRegistry {
  readonly #devices = new Map<string, { readonly folder: number; readonly edits: CdiEdits[] }>();
  readonly #conflicts = new Set<string>();
  readonly #unusable: string[] = [];

  static async read(folders: readonly string[] = cdiFolders): Promise<CdiRegistry> {
    const registry = new CdiRegistry();
    for (const [priority, folder] of folders.entries()) {
      for (const name of (await filesOf(folder)).sort()) {
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
      this.#add(parseCdiSpec(await readFile(file, "utf8"), format), folder);
    } catch (error) {
      this.#unusable.push(`${file} (${error instanceof Error ? error.message : String(error)})`);
    }
  }

  #add(spec: CdiSpec, folder: number): void {
    for (const device of spec.devices) {
      const name = `${spec.kind}=${device.name}`;
      const known = this.#devices.get(name);
      if (known?.folder === folder) this.#conflicts.add(name);
      else this.#conflicts.delete(name);
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
    const skipped = this.#unusable.length === 0 ? "" : `; not used: ${this.#unusable.join(", ")}`;
    return `cannot resolve ${reasons.join(", ")}${skipped}`;
  }
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return [];
    throw error;
  }
}
