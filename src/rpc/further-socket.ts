// SPDX-License-Identifier: Apache-2.0
import { lstatSync, readlinkSync, unlinkSync } from "node:fs";
import path from "node:path";
import { type Listener, listenerOf } from "../base/os/unix-peer.ts";
import { refusals } from "./unix-socket.ts";

/**
 * Takes a link at `file` away that leads to `address`: there a daemon was found before it could have
 * further sockets. Whatever else is there stays.
 */
export function dropLinkTo(address: string, file: string): void {
  if (isLinkTo(address, file)) unlinkSync(file);
}

/**
 * Why the daemon at `address` cannot have `file` as a further socket; undefined when it can, or has it.
 * Changes nothing and never waits.
 */
export function furtherSocketRefusal(address: string, file: string): string | undefined {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (!stats || isLinkTo(address, file)) return undefined;
  if (!stats.isSocket()) return refusals.noSocket(file);
  const owner = listenerOf(file);
  return owner === undefined || isOf(address, owner) ? undefined : refusals.inUse(file);
}

function isOf(address: string, { process }: Listener): boolean {
  return process !== undefined && listenerOf(address)?.process?.pid === process.pid;
}

function isLinkTo(address: string, file: string): boolean {
  if (!lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return false;
  return path.resolve(path.dirname(file), readlinkSync(file)) === address;
}
