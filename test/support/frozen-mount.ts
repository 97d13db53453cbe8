// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync } from "node:fs";
import { mount, unmount } from "../../src/base/os/mount.ts";

/** A file system that never answers: FUSE without a server. Undefined when the host cannot have one. */
export function frozenMount(folder: string): Disposable | undefined {
  let fd: number;
  try {
    fd = openSync("/dev/fuse", "r+");
  } catch {
    return undefined;
  }
  try {
    const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0`;
    mount({ source: "frozen", target: folder, type: "fuse", flags: 0, data });
  } catch {
    closeSync(fd);
    return undefined;
  }
  let isFrozen = true;
  return {
    [Symbol.dispose]: () => {
      if (!isFrozen) return;
      isFrozen = false;
      closeSync(fd); // whoever waits gets ENOTCONN
      unmount(folder, { lazy: true });
    },
  };
}
