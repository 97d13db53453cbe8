// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { errnoOf, fault } from "../base/errors.ts";
import { identify, isAlive } from "../base/os/proc.ts";

/**
 * One process at a time has a journal, from before it reads it: its name stands beside the file, and each puts its own
 * there before it looks for others, so that of two that come at once none or one goes on. A dead one's counts for nothing.
 */
export async function holdJournal(file: string): Promise<AsyncDisposable> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const own = `${file}.${process.pid}.${identify(process.pid)?.startTime ?? ""}.held`;
  try {
    await (await open(own, "wx", 0o600)).close();
  } catch (error) {
    if (errnoOf(error) === "EEXIST") throw held(process.pid);
    throw error;
  }
  const release = (): Promise<void> => rm(own, { force: true });
  try {
    await refuseHeld(file, own);
  } catch (error) {
    await release();
    throw error;
  }
  return { [Symbol.asyncDispose]: release };
}

/** FAILED_PRECONDITION while another process has it. */
export async function refuseHeld(file: string, own?: string): Promise<void> {
  const folder = path.dirname(file);
  for (const name of await namesIn(folder)) {
    if (!name.startsWith(`${path.basename(file)}.`) || !name.endsWith(".held")) continue;
    const other = path.join(folder, name);
    if (other === own) continue;
    const [pid = "", startTime = ""] = name.slice(path.basename(file).length + 1).split(".");
    if (isAlive({ pid: Number(pid), startTime })) throw held(Number(pid));
    if (own !== undefined) await rm(other, { force: true });
  }
}

function held(pid: number): Error {
  return fault("FAILED_PRECONDITION", `process ${pid} is migrating this node`);
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
