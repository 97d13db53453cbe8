// SPDX-License-Identifier: Apache-2.0

/** Flags of mount(2), linux/mount.h. */
export const MountFlag = {
  readOnly: 0x1,
  noSuid: 0x2,
  noDev: 0x4,
  noExec: 0x8,
  synchronous: 0x10,
  remount: 0x20,
  mandatoryLocks: 0x40,
  dirSync: 0x80,
  noSymFollow: 0x100,
  noAtime: 0x400,
  noDirAtime: 0x800,
  bind: 0x1000,
  move: 0x2000,
  recursive: 0x4000,
  silent: 0x8000,
  unbindable: 0x20000,
  private: 0x40000,
  slave: 0x80000,
  shared: 0x100000,
  relAtime: 0x200000,
  strictAtime: 0x1000000,
  lazyTime: 0x2000000,
} as const;

/** The propagation kinds: they need a mount(2) call of their own. */
export const propagationFlags =
  MountFlag.unbindable | MountFlag.private | MountFlag.slave | MountFlag.shared;

interface Effect {
  readonly set?: number;
  readonly clear?: number;
}

const f = MountFlag;
const effects: Readonly<Record<string, Effect>> = {
  async: { clear: f.synchronous },
  atime: { clear: f.noAtime },
  bind: { set: f.bind },
  defaults: {},
  dev: { clear: f.noDev },
  diratime: { clear: f.noDirAtime },
  dirsync: { set: f.dirSync },
  exec: { clear: f.noExec },
  lazytime: { set: f.lazyTime },
  loud: { clear: f.silent },
  mand: { set: f.mandatoryLocks },
  noatime: { set: f.noAtime },
  nodev: { set: f.noDev },
  nodiratime: { set: f.noDirAtime },
  noexec: { set: f.noExec },
  nolazytime: { clear: f.lazyTime },
  nomand: { clear: f.mandatoryLocks },
  norelatime: { clear: f.relAtime },
  nostrictatime: { clear: f.strictAtime },
  nosuid: { set: f.noSuid },
  nosymfollow: { set: f.noSymFollow },
  private: { set: f.private },
  rbind: { set: f.bind | f.recursive },
  relatime: { set: f.relAtime },
  remount: { set: f.remount },
  ro: { set: f.readOnly },
  rprivate: { set: f.private | f.recursive },
  rshared: { set: f.shared | f.recursive },
  rslave: { set: f.slave | f.recursive },
  runbindable: { set: f.unbindable | f.recursive },
  rw: { clear: f.readOnly },
  shared: { set: f.shared },
  silent: { set: f.silent },
  slave: { set: f.slave },
  strictatime: { set: f.strictAtime },
  suid: { clear: f.noSuid },
  symfollow: { clear: f.noSymFollow },
  sync: { set: f.synchronous },
  unbindable: { set: f.unbindable },
};

export interface MountOptions {
  readonly flags: number;
  /** Options that the file system itself reads, comma-joined in the order given. */
  readonly data: string;
}

/**
 * Splits fstab-style options as mount(8) and containerd's mounts write them: known words become
 * flags (a later one wins over an earlier), the rest is data for the file system.
 */
export function mountOptions(options: readonly string[]): MountOptions {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const effect = Object.hasOwn(effects, option) ? effects[option] : undefined;
    if (effect === undefined) {
      if (option !== "") data.push(option);
      continue;
    }
    flags = (flags | (effect.set ?? 0)) & ~(effect.clear ?? 0);
  }
  return { flags, data: data.join(",") };
}
