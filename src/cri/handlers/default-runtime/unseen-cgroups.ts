// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "../../../base/atomic-file.ts";
import { readBounded } from "../../../base/read-bounded.ts";
import { linkBeside } from "../../../oci/unseen-program.ts";
import { identityOf, type ProgramIdentity } from "./program-identity.ts";

/** Where the program goes that hides the cgroup v2 tree, and what it is a copy of: src/pause/unseen.c. */
export interface UnseenCrun {
  readonly program: string;
  readonly binary: string;
}

const maxBytes = 1024 * 1024;
const controllersBeside = "/sys/fs/cgroup/unified/cgroup.controllers";

/** crun refuses to run beside a v2 tree with controllers, though on a node with cgroup v1 it needs none of them. */
export async function mustNotSeeCgroup2(file = controllersBeside): Promise<boolean> {
  try {
    return String(await readBounded(file, maxBytes)).trim() !== "";
  } catch {
    return false; // no such tree
  }
}

/**
 * Lays out the program that runs this crun without the cgroup v2 tree in sight. It is called crun, too, and stays the
 * same file while nothing about it changes. Undefined when it cannot be written: then crun is tried as it is.
 */
export async function layUnseen(
  { program, binary }: UnseenCrun,
  crun: ProgramIdentity,
): Promise<ProgramIdentity | undefined> {
  try {
    await mkdir(path.dirname(linkBeside(program)), { recursive: true, mode: 0o700 });
    await pointTo(linkBeside(program), crun.path);
    const bytes = await readFile(binary);
    if (!(await holds(program, bytes))) await writeFileAtomic(program, bytes, { mode: 0o700 });
    return await identityOf(program);
  } catch {
    return undefined;
  }
}

async function pointTo(link: string, target: string): Promise<void> {
  if ((await readlink(link).catch(() => undefined)) === target) return;
  const fresh = `${link}.new`;
  await rm(fresh, { force: true });
  await symlink(target, fresh);
  await rename(fresh, link);
}

async function holds(file: string, bytes: Buffer): Promise<boolean> {
  try {
    return bytes.equals(await readBounded(file, maxBytes));
  } catch {
    return false;
  }
}
