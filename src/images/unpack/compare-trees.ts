// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, readSync } from "node:fs";
import { atCurrent, openAt, openFolder, readlinkAt } from "../../base/os/at.ts";
import { attributeNames, attributeOf } from "../../base/os/attributes.ts";
import { DirectoryReader } from "../../base/os/directory-reader.ts";
import { type FileFacts, FileType, factsIfAny } from "../../base/os/file-facts.ts";

const compareBytes = 1024 * 1024;
const openFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Two folders by their paths. */
export interface TreePair {
  /** As it should be. */
  readonly expected: string;
  readonly found: string;
}

/**
 * The first difference between two trees that nobody changes, for a message; undefined when there is none. All is held
 * against all but the times of folders and whiteouts, and what overlayfs notes for itself. Memory grows with the depth alone.
 */
export function compareTrees({ expected, found }: TreePair, step: () => void): string | undefined {
  using open = openBoth(
    [atCurrent, Buffer.from(expected)],
    [atCurrent, Buffer.from(found)],
    openFolder,
  );
  return new Comparison(step).folders({ ...open, at: "" });
}

interface OpenPair {
  readonly expected: number;
  readonly found: number;
  /** Their path below the trees' roots, without a slash at its end. */
  readonly at: string;
}

class Comparison {
  readonly #step: () => void;

  constructor(step: () => void) {
    this.#step = step;
  }

  /** What differs in two open folders and below. */
  folders(pair: OpenPair): string | undefined {
    const { expected, found, at } = pair;
    const attribute = attributesDiffer(expected, found);
    if (attribute !== undefined) return `"${at}/" has another ${attribute}`;
    const wanted = new DirectoryReader(expected);
    for (let entry = wanted.next(); entry !== undefined; entry = wanted.next()) {
      this.#step();
      const problem = this.#entries(pair, entry.name);
      if (problem !== undefined) return problem;
    }
    const own = new DirectoryReader(found);
    for (let entry = own.next(); entry !== undefined; entry = own.next()) {
      this.#step();
      const isExpected = factsIfAny(expected, entry.name) !== undefined;
      if (!isExpected) return `"${at}/${entry.name.toString()}" is not of the layer`;
    }
    return undefined;
  }

  #entries({ expected, found, at }: OpenPair, name: Buffer): string | undefined {
    const path = `${at}/${name.toString()}`;
    const before = factsIfAny(expected, name);
    const after = factsIfAny(found, name);
    if (before === undefined) return undefined;
    if (after === undefined) return `"${path}" is missing`;
    const fact = factsDiffer(before, after);
    if (fact !== undefined) return `"${path}" has another ${fact}`;
    const kind = before.mode & FileType.mask;
    if (kind === FileType.link) {
      const isSame = readlinkAt(expected, name).equals(readlinkAt(found, name));
      return isSame ? undefined : `"${path}" has another target`;
    }
    if (kind !== FileType.regular && kind !== FileType.folder) return undefined;
    using open = openBoth(
      [expected, name],
      [found, name],
      kind === FileType.folder ? openFolder : openFile,
    );
    if (kind === FileType.folder) return this.folders({ ...open, at: path });
    const attribute = attributesDiffer(open.expected, open.found);
    if (attribute !== undefined) return `"${path}" has another ${attribute}`;
    return this.#sameContent(open) ? undefined : `"${path}" has other content`;
  }

  #sameContent({ expected, found }: Omit<OpenPair, "at">): boolean {
    buffers ??= [Buffer.allocUnsafeSlow(compareBytes), Buffer.allocUnsafeSlow(compareBytes)];
    const [left, right] = buffers;
    for (;;) {
      this.#step();
      const [before, after] = [readSync(expected, left), readSync(found, right)];
      if (before !== after || left.compare(right, 0, after, 0, before) !== 0) return false;
      if (before === 0) return true;
    }
  }
}

let buffers: readonly [Buffer, Buffer] | undefined;

type Place = readonly [folder: number, name: Buffer];

function openBoth(left: Place, right: Place, flags: number): Omit<OpenPair, "at"> & Disposable {
  const expected = openAt(...left, flags);
  const close = (): void => closeSync(expected);
  try {
    const found = openAt(...right, flags);
    return {
      expected,
      found,
      [Symbol.dispose]: () => {
        close();
        closeSync(found);
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

function factsDiffer(before: FileFacts, after: FileFacts): string | undefined {
  if (before.mode !== after.mode) return "mode";
  if (before.uid !== after.uid || before.gid !== after.gid) return "owner";
  const kind = before.mode & FileType.mask;
  if (kind === FileType.folder) return undefined;
  if (before.size !== after.size) return "size";
  if (before.deviceMajor !== after.deviceMajor || before.deviceMinor !== after.deviceMinor) {
    return "device number";
  }
  if (isWhiteout(before)) return undefined;
  const [wanted, own] = [before.modified, after.modified];
  const isSameTime = wanted.seconds === own.seconds && wanted.nanos === own.nanos;
  return isSameTime ? undefined : "time";
}

/** The mark of a deletion, made when the layer is extracted: no archive tells its time. */
function isWhiteout({ mode, deviceMajor, deviceMinor }: FileFacts): boolean {
  const isDevice = (mode & FileType.mask) === FileType.characterDevice;
  return isDevice && deviceMajor === 0 && deviceMinor === 0;
}

/** The name of an attribute that only one of two files has, or has otherwise. */
function attributesDiffer(expected: number, found: number): string | undefined {
  const names = new Set([...attributeNames(expected), ...attributeNames(found)]);
  for (const name of names) {
    // Its other marks are notes of mounts that a layer was once the upper folder of.
    if (name.startsWith("trusted.overlay.") && name !== "trusted.overlay.opaque") continue;
    const [before, after] = [attributeOf(expected, name), attributeOf(found, name)];
    if (before === undefined ? after !== undefined : !after?.equals(before)) return name;
  }
  return undefined;
}
