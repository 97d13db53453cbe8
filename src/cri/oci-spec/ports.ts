// SPDX-License-Identifier: Apache-2.0
import type { CriConfig, RuntimeHandlerConfig } from "../../config/config.ts";
import type { ContainerConfig, Mount, PodSandboxConfig } from "../../gen/cri.gen.ts";
import type { Image } from "../../images/ports.ts";
import type { RootfsReader } from "../../oci/rootfs/ports.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { ResolvedUser } from "../../oci/user.ts";
import type { SnapshotUsage } from "../../snapshots/ports.ts";
import type { AppArmorProfiles } from "./apparmor/apparmor.ts";
import type { BlockioClasses } from "./classes/blockio.ts";
import type { RdtGroups } from "./classes/rdt.ts";
import type { ProfileReader } from "./seccomp/profile-reader.ts";

/**
 * CRI configuration → OCI runtime spec. Two entry points, one file each:
 *
 * - buildSandboxSpec(input, services): Promise<OciSpec>               build-sandbox-spec.ts
 * - buildContainerSpec(input, services): Promise<BuiltContainerSpec>  build-container-spec.ts
 *
 * Bad input throws INVALID_ARGUMENT and names the field as the CRI proto spells it; what the host
 * or the handler cannot do throws FAILED_PRECONDITION. Specs are written with encodeOciSpec.
 */

/** What this machine and this daemon can do; readHostFacts() (host-facts.ts) finds it once at start. */
export interface HostFacts {
  readonly cgroupVersion: 1 | 2;
  /** cgroup v1 with the v2 tree mounted beside it at /sys/fs/cgroup/unified. */
  readonly cgroupHybrid: boolean;
  /** The kernel has cgroup namespaces. */
  readonly cgroupNamespaces: boolean;
  /** Controllers in use, "memory", "cpu", "hugetlb", … */
  readonly cgroupControllers: readonly string[];
  /** Names with CAP_ that the kernel knows and that are in the daemon's own bounding set, by number. */
  readonly capabilities: readonly string[];
  readonly seccomp: boolean;
  readonly apparmor: boolean;
  readonly selinux: boolean;
  /** The memory controller counts swap. */
  readonly swapAccounting: boolean;
  readonly daemonOomScoreAdj: number;
  /** CAP_SYS_RESOURCE: an oom_score_adj below the daemon's own can be set. */
  readonly canLowerOomScore: boolean;
  /** As cgroup files spell them: "2MB", "1GB". */
  readonly hugepageSizes: readonly string[];
  readonly kernelRelease: string;
  /** As Go spells it: "amd64", "arm64", … */
  readonly architecture: string;
  readonly hostname: string;
}

/** What specs need of the host at the time they are built, as opposed to HostFacts. */
export interface SpecServices {
  /** A seccomp profile that was pulled; NOT_FOUND when none was by that name. */
  readonly pulledProfile: (reference: string) => Promise<Buffer>;
  /** Reads what others wrote as seccomp profiles. */
  readonly profiles: ProfileReader;
  readonly apparmor: AppArmorProfiles;
  readonly rdt: RdtGroups;
  readonly blockio: BlockioClasses;
  /**
   * True while the host's cgroup v2 is mounted with nsdelegate: who is the root of a cgroup namespace cannot
   * change its own limits then. Asked anew: another mount of the tree in the host's namespace changes it.
   */
  delegatesCgroups(): Promise<boolean>;
}

/** What the OCI runtime of a handler can do: readRuntimeFeatures() (runtime-features.ts). */
export interface RuntimeFeatures {
  /** `rro` in the runtime's mount options and a kernel of 5.12 or later. */
  readonly recursiveReadOnlyMounts: boolean;
  /** What a mount may ask for in `mount_options`: some of those that mount-options.ts knows. */
  readonly mountOptions: readonly string[];
  readonly idmapMounts: boolean;
  readonly userNamespaces: boolean;
  readonly cgroupNamespaces: boolean;
  /** `linux.netDevices`: moves interfaces of the host into the container. */
  readonly netDevices: boolean;
  /** `linux.intelRdt.schemata` and `linux.intelRdt.enableMonitoring`. */
  readonly rdtSchemata: boolean;
  readonly rdtMonitoring: boolean;
  /** `process.scheduler` and `process.ioPriority`. */
  readonly scheduling: boolean;
  /** Of `linux.memoryPolicy`: MPOL_BIND and others. */
  readonly memoryPolicies: readonly string[];
}

/** Absolute paths of the files a sandbox shares with its containers; "" leaves the mount out. */
export interface SandboxFiles {
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
  /** The sandbox's /dev/shm; unused with ipc NODE, where the host's is taken. */
  readonly shm: string;
}

export interface SandboxSpecInput {
  readonly id: string;
  readonly config: PodSandboxConfig;
  /** Path of the pinned network namespace; "" for the host's network. */
  readonly netnsPath: string;
  readonly handler: RuntimeHandlerConfig;
  readonly features: RuntimeFeatures;
  readonly cri: CriConfig;
  readonly host: HostFacts;
  readonly files: SandboxFiles;
  /** Absolute path of the built-in rootfs that holds /pause, with proc, dev, sys and etc folders. */
  readonly pauseRootfs: string;
}

export interface ContainerSpecInput {
  readonly id: string;
  readonly sandbox: {
    readonly id: string;
    /** Pid of the sandbox's init: its namespaces are joined through /proc/PID/ns. */
    readonly pid: number;
    readonly netnsPath: string;
    readonly config: PodSandboxConfig;
  };
  readonly config: ContainerConfig;
  readonly image: Image;
  /** The image as the user wrote it (ImageSpec.user_specified_image, else ImageSpec.image). */
  readonly imageName: string;
  readonly handler: RuntimeHandlerConfig;
  readonly features: RuntimeFeatures;
  readonly cri: CriConfig;
  readonly host: HostFacts;
  readonly files: SandboxFiles;
  /** Init pid of the container that pid mode TARGET names; the caller has checked that it runs in this sandbox. */
  readonly targetPid?: number | undefined;
  /** The image's file system, for /etc/passwd, /etc/group and the content of image-defined volumes. */
  readonly rootfs: RootfsReader;
  /**
   * Folder of this container's own for image-defined volumes; made when needed. The caller removes
   * it with the container, also when building the spec failed.
   */
  readonly volumesDir: string;
  /** What the image takes on disk, all layers together; asked when something of it is copied. */
  readonly imageUsage: () => Promise<SnapshotUsage>;
  /** Host path of a mount that names an image; without it such a mount is UNIMPLEMENTED. */
  readonly imageVolumePath?: ((mount: Mount) => Promise<string>) | undefined;
  /** Ends the waiting for host paths that hang, and the reading of the image. */
  readonly signal: AbortSignal;
}

export interface BuiltContainerSpec {
  readonly spec: OciSpec;
  /** Of the initial process, for ContainerStatus.user.linux. Groups are sorted and hold the primary one. */
  readonly user: ResolvedUser;
}
