// SPDX-License-Identifier: Apache-2.0
import { chmod, lstat, mkdir, readdir, rename, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf, fault } from "./base/errors.ts";
import type { Logger } from "./base/logger.ts";
import type { StartConfig } from "./config/config.ts";
import { inRoot, inState, type Layout, layoutOf, type Place } from "./config/layout.ts";

/**
 * Makes root and state, and takes from other users what an older daemon, or somebody since, let them have.
 * Nothing below root is theirs to enter. In state there are a socket that a group may use and the bundles,
 * so it can be passed through; all else in there is closed. A folder of another owner is told of.
 */
export async function makePrivate(config: StartConfig, log: Logger): Promise<void> {
  process.umask(0o022); // what modes are named for is not the unit's to change
  const { root, state } = config;
  const layout = layoutOf(config);
  await makeFolder(root, inRoot.root.mode, log);
  await makeFolder(state, inState.state.mode, log);
  for (const place of foldersRightIn(layout)) await clearPlace(place, log);
  const { content, blobs, snapshots, criDurable, criVolatile, bundles: top } = layout;
  const closing = [root, content, blobs, snapshots, criDurable, state, criVolatile];
  const folders = await Promise.all(closing.map(entriesOf));
  const open = new Set([config.grpc.address, top]);
  const closed = folders.flat().filter((entry) => !open.has(entry));
  await Promise.all(closed.map((entry) => mend(entry, 0o700, log)));
  const namespaces = await entriesOf(top);
  const bundles = await Promise.all(namespaces.map(entriesOf));
  await Promise.all(bundles.flat().map((bundle) => mend(bundle, 0o710, log)));
}

/** Those that the daemon makes right in root and in state. */
function foldersRightIn(layout: Layout): string[] {
  const places: readonly (readonly [string, Place])[] = Object.entries({ ...inRoot, ...inState });
  return places
    .filter(([, { at, kind }]) => kind === "folder" && at !== "" && !at.includes("/"))
    .map(([name]) => layout[name as keyof Layout]);
}

async function makeFolder(folder: string, mode: number, log: Logger): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode });
  } catch (cause) {
    if (errnoOf(cause) !== "EEXIST" && errnoOf(cause) !== "ENOTDIR") throw cause;
    throw fault("FAILED_PRECONDITION", `cannot use "${folder}": it is no folder`, { cause });
  }
  const stats = await lstat(folder);
  if (stats.uid !== process.geteuid?.()) {
    log.warn({ folder, uid: stats.uid }, "folder belongs to another user, who gets at all in it");
  }
  if ((stats.mode & 0o7777) !== mode) await chmod(folder, mode);
}

/** What lies in place of a folder of ours is kept under another name: no start fails over it. */
async function clearPlace(place: string, log: Logger): Promise<void> {
  try {
    if ((await stat(place)).isDirectory()) return;
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && !(await isThere(place))) return;
  }
  const aside = `${place}.no-folder-${Date.now()}`;
  try {
    await rename(place, aside);
    log.warn({ path: place, aside }, "what lay in place of a folder was moved aside");
  } catch (err) {
    log.warn({ path: place, err }, "cannot move away what lies in place of a folder");
  }
}

async function isThere(place: string): Promise<boolean> {
  return (await lstat(place).catch(() => undefined)) !== undefined;
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).map((name) => path.join(folder, name));
  } catch {
    return []; // not made yet, or no folder: whoever uses it says so
  }
}

/** Files and folders only: a link's mode is nobody's, and no mount is looked into. */
async function mend(entry: string, most: number, log: Logger): Promise<void> {
  try {
    const stats = await lstat(entry);
    if (!stats.isFile() && !stats.isDirectory()) return;
    const mode = stats.mode & 0o7777;
    const allowed = most | 0o600;
    if ((mode & ~allowed) === 0) return;
    await chmod(entry, mode & allowed);
    log.info({ path: entry }, "other users had rights here, which were taken away");
  } catch (error) {
    log.warn({ path: entry, err: error }, "cannot take other users' rights away");
  }
}
