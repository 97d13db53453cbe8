// SPDX-License-Identifier: Apache-2.0
import { access, constants, stat } from "node:fs/promises";
import path from "node:path";
import { searchPath } from "../../../base/process.ts";

/** A program's file. Another one in its place differs in one of these, also when it was written over. */
export interface ProgramIdentity {
  readonly path: string;
  readonly device: string;
  readonly inode: string;
  readonly size: string;
  /** Nanoseconds since the epoch, as `changed`. */
  readonly modified: string;
  readonly changed: string;
}

/** The first program of this name on PATH; undefined when there is none. */
export async function findProgramFile(name: string): Promise<ProgramIdentity | undefined> {
  for (const folder of searchPath()) {
    const file = path.join(folder, name);
    try {
      await access(file, constants.X_OK);
    } catch {
      continue;
    }
    const identity = await identityOf(file);
    if (identity !== undefined) return identity;
  }
  return undefined;
}

/** Of a regular file, also behind links; undefined when there is none. */
export async function identityOf(file: string): Promise<ProgramIdentity | undefined> {
  try {
    const facts = await stat(file, { bigint: true });
    if (!facts.isFile()) return undefined;
    return {
      path: file,
      device: String(facts.dev),
      inode: String(facts.ino),
      size: String(facts.size),
      modified: String(facts.mtimeNs),
      changed: String(facts.ctimeNs),
    };
  } catch {
    return undefined;
  }
}
