// SPDX-License-Identifier: Apache-2.0
import { globSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { FuzzTarget } from "../target.ts";

const folder = path.resolve(import.meta.dirname, "..");

/** A target's file may have these only: `targets/NAME.ts`. */
export function targetNames(): string[] {
  return globSync("*.ts", { cwd: path.join(folder, "targets") })
    .map((file) => path.basename(file, ".ts"))
    .toSorted();
}

/** The target of a name, or of `FILE#EXPORT`, which the fuzzer's own tests use. */
export async function loadTarget(name: string): Promise<FuzzTarget> {
  const [file = "", exported = "target"] = name.includes("#")
    ? name.split("#")
    : [path.join(folder, "targets", `${name}.ts`)];
  const targets = (await import(pathToFileURL(file).href)) as Record<string, FuzzTarget>;
  const target = targets[exported];
  if (target === undefined) throw new Error(`${file} has no ${exported}`);
  return target;
}

/** The corpus's files, then what the target makes itself. */
export async function firstInputs(target: FuzzTarget): Promise<Buffer[]> {
  const files = path.join(folder, "corpus", target.name);
  const inputs: Buffer[] = corpusNames(target.name).map((name) =>
    readFileSync(path.join(files, name)),
  );
  for await (const seed of target.seeds?.() ?? []) inputs.push(seed);
  return inputs;
}

export function corpusNames(target: string): string[] {
  try {
    return readdirSync(path.join(folder, "corpus", target)).toSorted();
  } catch {
    return [];
  }
}

export const usualMaxBytes = 4096;
