// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { cgroupMounts } from "../cgroups.ts";

const script = `cat >/dev/null
folder=$1
ip link delete "$2"
shift 2
for try in 1 2 3 4 5 6 7 8 9 10; do
  for group; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; done
  left=
  for group; do [ ! -e "$group" ] || left=yes; done
  [ "$left" ] || break
  sleep 1
done
rm -rf "$folder"
`;

/** What a cluster's boxes do not take with them. */
export interface Estate {
  readonly folder: string;
  readonly cgroupRoots: readonly string[];
  readonly hostLink: string;
}

/**
 * Removes these when this process is gone, even killed: what else a cluster makes ends with its
 * boxes. Disposing calls it off.
 */
export async function appointUndertaker({
  folder,
  cgroupRoots,
  hostLink,
}: Estate): Promise<Disposable> {
  const mounts = await cgroupMounts();
  const groups = mounts.flatMap((mount) => cgroupRoots.map((root) => `${mount}${root}`));
  const child = spawn("sh", ["-c", script, "undertaker", folder, hostLink, ...groups], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    cwd: "/",
  });
  child.unref();
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}
