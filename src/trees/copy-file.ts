// SPDX-License-Identifier: Apache-2.0
import { chmodSync, constants, fchmodSync, fchownSync, ftruncateSync } from "node:fs";
import { errnoOf, fault } from "../base/errors.ts";
import {
  chownAt,
  linkAt,
  makeNodeAt,
  openAt,
  readlinkAt,
  setTimesAt,
  symlinkAt,
} from "../base/os/at.ts";
import {
  attributeNames,
  attributeOf,
  isUnknownHere,
  setAttributeOn,
} from "../base/os/attributes.ts";
import { capabilityName, ownedCapability } from "../base/os/file-capability.ts";
import { type FileFacts, FileType, factsOf } from "../base/os/file-facts.ts";
import { copyRange, nextData } from "../base/os/file-ranges.ts";
import { hostId, type IdMappings } from "../base/os/id-mapping.ts";
import { setTimesOf } from "../base/os/inode.ts";
import type { CopyMeter } from "./copy-meter.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Job } from "./jobs.ts";

export interface CopyTarget {
  /** Folder where each file with several names is kept under one of ours, for the other names. */
  readonly links: number;
  readonly mappings: IdMappings | undefined;
  readonly descriptors: Descriptors;
  readonly meter: CopyMeter;
}

/** Something that is no folder: `name` in the folder `source`, to be the same in the folder `target`. */
export interface CopySource {
  readonly name: Buffer;
  /** Its name there; the same when left out. */
  readonly as?: Buffer;
  readonly source: number;
  readonly target: number;
  /** Distinguishes inodes of different layers. */
  readonly layer: number;
  readonly facts: FileFacts;
}

const chunkBytes = 1024 * 1024;
const readFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const newFile = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Copies what is no folder, with owners, mode, attributes and times. */
export function* copyFile(from: CopySource, into: CopyTarget): Job<void> {
  const { target, facts, layer } = from;
  const name = from.as ?? from.name;
  const known =
    facts.links > 1 ? Buffer.from(`${layer}-${facts.inodeHigh}-${facts.inodeLow}`) : undefined;
  if (known !== undefined && couldLink(into.links, known, target, name)) {
    into.meter.name();
    return;
  }
  into.meter.inode();
  switch (facts.mode & FileType.mask) {
    case FileType.regular:
      yield* copyContent(from, into);
      break;
    case FileType.link:
      symlinkAt(readlinkAt(from.source, from.name), target, name);
      dressName(from, into);
      break;
    case FileType.fifo:
    case FileType.characterDevice:
    case FileType.blockDevice: {
      const { deviceMajor: major, deviceMinor: minor } = facts;
      makeNodeAt(target, name, (facts.mode & FileType.mask) | 0o600, { major, minor });
      dressName(from, into);
      break;
    }
    default:
      return; // a socket is of no use without the process that listens
  }
  if (known !== undefined) couldLink(target, name, into.links, known);
}

/** Gives the copy of a file or folder what the original has besides its content. */
export function dress(from: number, to: number, facts: FileFacts, into: CopyTarget): void {
  const { uid, gid } = ownerOf(facts, into.mappings);
  fchownSync(to, uid, gid);
  // After the owner, whose change clears what gives privileges.
  fchmodSync(to, facts.mode & 0o7777);
  for (const name of attributeNames(from)) {
    if (/^(trusted|user)\.overlay\./.test(name)) continue;
    const value = attributeOf(from, name);
    if (value === undefined) continue;
    const { mappings } = into;
    const isCapability = name === capabilityName && mappings !== undefined;
    setIfKnown(to, name, isCapability ? ownedCapability(value, hostId(mappings.uids, 0)) : value);
  }
  setTimesOf(to, facts.accessed, facts.modified);
}

function setIfKnown(fd: number, name: string, value: Buffer): void {
  try {
    setAttributeOn(fd, name, value);
  } catch (error) {
    // A file system without such attributes: what runs on it cannot miss them.
    if (!isUnknownHere(errnoOf(error))) throw error;
  }
}

/** The data where it is, and holes where there is none. */
function* copyContent(
  { name, as = name, source, target }: CopySource,
  into: CopyTarget,
): Job<void> {
  const { descriptors, meter } = into;
  using open = new DisposableStack();
  const keep = (fd: number): number => {
    descriptors.keep(fd);
    open.defer(() => descriptors.close(fd));
    return fd;
  };
  const from = keep(openAt(source, name, readFile));
  const to = keep(openAt(target, as, newFile, 0o600));
  const facts = factsOf(from);
  for (let at = 0; at < facts.size; ) {
    const data = nextData(from, at);
    if (data === undefined) break;
    for (at = data.start; at < data.end; yield) {
      const length = Math.min(chunkBytes, data.end - at);
      const copied = copyRange(from, to, at, length);
      meter.data(copied);
      if (copied === 0)
        throw fault("ABORTED", `file "${name.toString()}" shrank while it was copied`);
      at += copied;
    }
  }
  ftruncateSync(to, facts.size);
  dress(from, to, facts, into);
}

function dressName(
  { name: original, as: name = original, target, facts }: CopySource,
  { mappings }: CopyTarget,
): void {
  const { uid, gid } = ownerOf(facts, mappings);
  chownAt(target, name, uid, gid);
  if ((facts.mode & FileType.mask) !== FileType.link) {
    // Made by us in a folder that nobody else writes to: it is not a link by now.
    const path = Buffer.concat([Buffer.from(`/proc/self/fd/${target}/`), name]);
    chmodSync(path, facts.mode & 0o7777);
  }
  setTimesAt(target, name, facts.accessed, facts.modified);
}

function ownerOf(
  { uid, gid }: FileFacts,
  mappings: IdMappings | undefined,
): { readonly uid: number; readonly gid: number } {
  if (mappings === undefined) return { uid, gid };
  return { uid: hostId(mappings.uids, uid), gid: hostId(mappings.gids, gid) };
}

/** False when there is no such file yet, or it can have no more names (EMLINK). */
function couldLink(folder: number, name: Buffer, newFolder: number, newName: Buffer): boolean {
  try {
    linkAt(folder, name, newFolder, newName);
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "EMLINK" || errno === "EEXIST") return false;
    throw error;
  }
}
