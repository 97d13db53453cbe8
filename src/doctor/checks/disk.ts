// SPDX-License-Identifier: Apache-2.0
import { statfs } from "node:fs/promises";
import { mountsHolding } from "../../base/os/mount-table.ts";
import type { MountEntry } from "../../base/os/mountinfo.ts";
import { run } from "../../base/process.ts";
import { shellWord } from "../../base/shell-word.ts";
import type { Check } from "../check.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

/** The kubelet evicts pods below these shares, unless it is told otherwise: nodefs 10 %, imagefs 15 %, inodes 5 %. */
const shares = { low: 0.15, none: 0.05, inodes: 0.05 } as const;
const gib = 2 ** 30;
/** Layers cannot lie on these: overlayfs does not take them as its upper folder. */
const unfit =
  /^(nfs4?|cifs|smb3|9p|ceph|fuse(\..*)?|vfat|exfat|overlay|ecryptfs|squashfs|iso9660)$/;
/** Where kubelets have containers' logs. */
const podLogs = "/var/log/pods";
const kubeletFolder = "/var/lib/kubelet";

export const disk: Check = {
  name: "disk",
  about: "space, inodes and the kind of the file systems",
  needsConfig: true,
  run: async (patient) => {
    const { host, config } = patient;
    const folders = [
      {
        name: "root",
        folder: config.root,
        mend: `berth image prune; du -xd 1 -h ${shellWord(config.root)} | sort -h | tail -n 5`,
      },
      {
        name: "state",
        folder: config.state,
        mend: `du -xd 2 -h ${shellWord(config.state)} | sort -h | tail -n 5`,
      },
      { name: "logs", folder: podLogs, mend: `du -xd 1 -h ${podLogs} | sort -h | tail -n 5` },
    ];
    const kubelet = await patient.kubelet();
    const pods = kubelet && (flagOf(kubelet.flags, "root-dir") ?? kubeletFolder);
    if (pods !== undefined && (await host.has(pods)))
      folders.push({
        name: "kubelet's",
        folder: pods,
        mend: `du -xd 3 -h ${shellWord(`${pods}/pods`)} | sort -h | tail -n 5`,
      });
    const places = new Map<string, string>();
    for (const folder of [
      ...folders.map((one) => one.folder),
      ...(pods === undefined ? [] : [pods]),
    ])
      places.set(folder, host.at(await nearest(patient, folder)));
    const placeOf = (folder: string): string => places.get(folder) ?? host.at(folder);
    const mounts = await mountsHolding([...places.values()]);
    const mountOf = (folder: string): MountEntry | undefined => mounts.of(placeOf(folder));
    const found: Finding[] = [];
    for (const { name, folder, mend } of folders) {
      const facts = await statfs(placeOf(folder));
      found.push(...spaceOf(`${name} folder ${folder}`, facts, { folder, mend }));
    }
    const own = mountOf(config.root);
    if (own !== undefined) found.push(...(await kindOf(config.root, own)));
    for (const { name, folder } of folders.slice(1)) {
      const mount = mountOf(folder);
      // What lies with the root is told of with that.
      if (mount === undefined || mount.mountPoint === own?.mountPoint) continue;
      const why = "no pod can be started: what belongs to it is not written";
      found.push(...readOnly(`${name} folder ${folder}`, mount, why));
    }
    const podsMount = pods === undefined ? undefined : mountOf(pods);
    // Another system's mounts are seen here as they were made for us.
    if (pods !== undefined && podsMount !== undefined && host.isOurs)
      found.push(...unshared(pods, podsMount));
    return found;
  },
};

interface Space {
  readonly bsize: number;
  readonly blocks: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

function spaceOf(
  what: string,
  { bsize, blocks, bavail, files, ffree }: Space,
  { folder, mend }: { readonly folder: string; readonly mend: string },
): Finding[] {
  const [free, all] = [bavail * bsize, blocks * bsize];
  const found: Finding[] = [];
  const figures = `${(free / gib).toFixed(1)} GiB of ${(all / gib).toFixed(1)} GiB`;
  if (all > 0 && free < all * shares.none) {
    const why =
      "images are not pulled, pods fail with `no space left on device`, and the kubelet evicts them";
    found.push(error({ what: `${what} has ${figures} left`, why, mend }));
  } else if (all > 0 && free < all * shares.low) {
    const why = "the kubelet collects images below 15 % and evicts pods below 10 %";
    found.push(warning({ what: `${what} has ${figures} left`, why, mend }));
  } else found.push(ok(`${what} has ${figures} left`));
  if (files > 0 && ffree < files * shares.inodes) {
    const why =
      "no file can be made, though there is space: the kubelet evicts pods below 5 % of inodes";
    found.push(
      error({
        what: `${what} has ${ffree} of ${files} inodes left`,
        why,
        mend: mendOfInodes(folder, mend),
      }),
    );
  }
  return found;
}

/** The same, with the folders that have most files. */
function mendOfInodes(folder: string, mend: string): string {
  return mend.replace(
    /du .*/s,
    () => `du --inodes -xd 2 ${shellWord(folder)} | sort -n | tail -n 5`,
  );
}

async function kindOf(root: string, mount: MountEntry): Promise<Finding[]> {
  const { mountPoint, options, type } = mount;
  const found: Finding[] = [];
  if (unfit.test(type)) {
    found.push(
      error({
        what: `the root folder ${root} lies on ${type} (${mountPoint})`,
        why: "overlayfs does not take it for writable layers: no container can be made",
        mend: `mount an ext4 or xfs file system at ${root}, or set root to a folder on one`,
      }),
    );
  }
  const why =
    "nothing can be stored; the kernel remounts a file system so after errors of its disk";
  found.push(...readOnly(`root folder ${root}`, mount, why));
  if (options.includes("noexec") || options.includes("nosuid") || options.includes("nodev")) {
    const bad = options.filter((one) => ["noexec", "nosuid", "nodev"].includes(one));
    found.push(
      (bad.includes("noexec") ? error : warning)({
        what: `the root folder ${root} is mounted ${bad.join(", ")} (${mountPoint})`,
        why: "where image layers lie, programs must run: containers fail with `permission denied`, or lose set-uid programs",
        mend: `mount -o remount,exec,suid,dev ${shellWord(mountPoint)}`,
      }),
    );
  }
  if (type === "xfs" && (await hasNoTypes(mountPoint))) {
    found.push(
      error({
        what: `the xfs on ${mountPoint} was made with ftype=0`,
        why: "overlayfs cannot tell what is a whiteout: it refuses the file system, or shows removed files",
        mend: `set root to a folder on a file system made with: mkfs.xfs -n ftype=1`,
      }),
    );
  }
  return found;
}

function readOnly(
  what: string,
  { mountPoint, options, superOptions }: MountEntry,
  why: string,
): Finding[] {
  if (!options.includes("ro") && !superOptions.includes("ro")) return [];
  return [
    error({
      what: `the ${what} lies on a file system that is read-only (${mountPoint})`,
      why,
      mend: `dmesg | grep -i -E 'i/o error|remount' | tail -n 5; mount -o remount,rw ${shellWord(mountPoint)}`,
    }),
  ];
}

/** Where pods' volumes are mounted, and whence mounts of pods that ask for it come to the node. */
function unshared(pods: string, { mountPoint, propagation }: MountEntry): Finding[] {
  if (propagation.some((one) => one.startsWith("shared:"))) return [];
  return [
    warning({
      what: `the mount that ${pods} lies on, ${mountPoint}, is not shared`,
      why: "containers with Bidirectional mounts, as CSI drivers have them, are refused, and volumes that others mount do not come into pods",
      mend: `mount --make-rshared ${shellWord(mountPoint)} # systemd does so at each start; another init is to be told`,
    }),
  ];
}

async function hasNoTypes(mountPoint: string): Promise<boolean> {
  try {
    const options = { timeoutMs: 5_000, maxOutputBytes: 65_536 };
    return /ftype=0/.test((await run("xfs_info", [mountPoint], options)).stdout.toString());
  } catch {
    return false; // xfsprogs is not there: what cannot be told is not said
  }
}

/** The folder, or the nearest one above that is there. */
async function nearest({ host }: Patient, folder: string): Promise<string> {
  for (let at = folder; at !== "/"; at = at.slice(0, at.lastIndexOf("/")) || "/")
    if (await host.has(at)) return at;
  return "/";
}
