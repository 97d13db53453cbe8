// SPDX-License-Identifier: Apache-2.0
import { type Stats, statSync } from "node:fs";
import path from "node:path";
import { fault } from "../../base/errors.ts";
import { run, searchPath } from "../../base/process.ts";

/** A shim program and what it says about itself. */
export interface ShimBinary {
  readonly path: string;
  /** A `containerd-shim-runc-v2`, of whatever version. */
  readonly isRunc: boolean;
  /** [major, minor]; undefined when `-v` tells none. */
  readonly version: readonly [number, number] | undefined;
}

const versionProbeMs = 5_000;

/** Finds shims by runtime name and remembers what `-v` said, per file and modification time. */
export class ShimBinaries {
  readonly #searchPath: readonly string[];
  readonly #known = new Map<string, { mtimeMs: number; binary: Promise<ShimBinary> }>();

  constructor(folders: readonly string[] = searchPath()) {
    this.#searchPath = folders;
  }

  /**
   * The shim of a runtime. `runtime` is a name (`io.containerd.runc.v2` is the program
   * `containerd-shim-runc-v2` in PATH) or an absolute path; `override` is a path that wins.
   * INVALID_ARGUMENT for a name of another shape, NOT_FOUND when there is no such program.
   */
  async resolve(runtime: string, override: string): Promise<ShimBinary> {
    const given = override === "" ? runtime : override;
    if (given.includes("/")) {
      if (!path.isAbsolute(given)) {
        throw fault("INVALID_ARGUMENT", `runtime path "${given}" is not absolute`);
      }
      const stats = statOf(given);
      if (stats === undefined) {
        throw fault("NOT_FOUND", `runtime "${given}" not found: there is no such file`);
      }
      return this.#inspect(given, stats);
    }
    const program = programOf(given);
    for (const folder of this.#searchPath) {
      const candidate = path.join(folder, program);
      const stats = statOf(candidate);
      if (stats?.isFile() && (stats.mode & 0o111) !== 0) return this.#inspect(candidate, stats);
    }
    throw fault("NOT_FOUND", `runtime "${given}" not found: no ${program} in PATH`);
  }

  #inspect(file: string, { mtimeMs }: Stats): Promise<ShimBinary> {
    const known = this.#known.get(file);
    if (known?.mtimeMs === mtimeMs) return known.binary;
    const binary = probe(file);
    this.#known.set(file, { mtimeMs, binary });
    return binary;
  }
}

/** `io.containerd.runc.v2` → `containerd-shim-runc-v2`: the last two parts of the name. */
export function programOf(runtime: string): string {
  const parts = runtime.split(".");
  const [name, version] = parts.slice(-2);
  if (parts.length < 2 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) {
    throw fault(
      "INVALID_ARGUMENT",
      `runtime name "${runtime.slice(0, 200)}" is not like "io.containerd.runc.v2"`,
    );
  }
  return `containerd-shim-${name}-${version}`;
}

/** Reads the version line of `-v`: "  Version:  1.6.20~ds1", "v2.3.4", "2.3.4+unknown". */
export function parseVersion(text: string): readonly [number, number] | undefined {
  const match = /Version:\s*v?(\d+)\.(\d+)/i.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

async function probe(file: string): Promise<ShimBinary> {
  const isRunc = path.basename(file).startsWith("containerd-shim-runc-v2");
  try {
    const { stdout } = await run(file, ["-v"], {
      timeoutMs: versionProbeMs,
      maxOutputBytes: 65_536,
      mergeStderr: true,
      anyExitCode: true,
    });
    return { path: file, isRunc, version: parseVersion(stdout.toString("utf8")) };
  } catch {
    // A shim that does not know -v is as good as one without a version.
    return { path: file, isRunc, version: undefined };
  }
}

/**
 * Looked at on this thread: each start of a task asks all of PATH, and a turn of the thread pool a folder
 * is a hundred times what the answer takes.
 */
function statOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined; // a file where a folder should be, for example
  }
}
