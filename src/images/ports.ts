// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { Digest } from "../content/ports.ts";

/** What a config blob says of the process, already validated; absent fields are empty. */
export interface ImageConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  readonly volumes: readonly string[];
  /** As written in the image, for example "SIGQUIT" or "3"; "" when unset. */
  readonly stopSignal: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One image as CRI sees it: all names that lead to one config. */
export interface Image {
  /** The config's digest: CRI's Image.id, and what PullImage returns. */
  readonly id: Digest;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly sizeBytes: bigint;
  readonly pinned: boolean;
  /** Chain id of the topmost layer: the committed snapshot that containers start from; "" without layers. */
  readonly chainId: string;
  readonly config: ImageConfig;
  readonly platform: {
    readonly os: string;
    readonly architecture: string;
    readonly variant: string;
  };
  readonly layers: number;
}

export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  /** base64 of `user:password`. */
  readonly auth?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
  readonly serverAddress?: string;
}

export interface PushOptions extends Cancellable {
  /** The name to push to; the image's own without it. */
  readonly destination?: string;
  /** Of an image of several platforms, `os/architecture[/variant]`: this one alone. */
  readonly platform?: string;
  /** All of them; refused unless all are here. Without either: all if they are here, else the only one that is. */
  readonly allPlatforms?: boolean;
  /** Also layers that must not be distributed. */
  readonly nonDistributable?: boolean;
  readonly auth?: RegistryAuth;
  readonly onStep?: (step: TransferStep) => void;
  /** Called for each piece that is sent. */
  readonly onBytes?: (bytes: number) => void;
}

export interface PushedImage {
  /** The name that it was pushed to. */
  readonly name: string;
  /** What that means now. */
  readonly digest: Digest;
  /** Platforms that the image has, and that were not pushed. */
  readonly left: readonly string[];
}

/** What is done with one part of an image now. */
export interface TransferStep {
  readonly digest: Digest;
  readonly kind: "layer" | "config" | "manifest";
  readonly state: TransferState;
  /** Bytes that are there. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export type TransferKind = "pull" | "push";

export type TransferState =
  | "waiting"
  | "downloading"
  /** Copied from an archive. */
  | "loading"
  | "extracting"
  | "uploading"
  /** Was there already. */
  | "exists"
  /** Taken from another repository of the same registry. */
  | "mounted"
  | "skipped"
  | "done";

export interface LoadOptions extends Cancellable {
  /** In place of the names that the archive gives. */
  readonly name?: string;
  /** Hears of each image with the names that it was loaded under; it may have others. */
  readonly onImage?: (image: Image, names: readonly string[]) => void;
  readonly onStep?: (step: TransferStep) => void;
}

/** Something of an image that is not as it was pulled. */
export interface DamageFinding {
  /** Names of the image, or its id. */
  readonly images: readonly string[];
  /** "content DIGEST", "layer CHAIN-ID", or "image NAME". */
  readonly object: string;
  /** A clause. */
  readonly problem: string;
  /** Whether it is gone, so that the next pull or use makes it again; else a container uses it. */
  readonly isDropped: boolean;
}

/** What was looked at. */
export interface VerifiedCounts {
  readonly images: number;
  readonly blobs: number;
  readonly layers: number;
}

/** Images of one containerd namespace (`k8s.io`), with their content and snapshots. */
export interface Images {
  /** By tag, digest reference, full id or unique id prefix. From memory. */
  find(reference: string): Image | undefined;
  list(): readonly Image[];
  /**
   * Unpacks an image that a client has brought in without unpacking it; done at once when the layers are there. Call
   * before an image's snapshot is used. FAILED_PRECONDITION for an image that is built in: it has none.
   */
  unpack(image: Image, call: Cancellable): Promise<void>;
  /** Pulls and unpacks. Single-flight per reference; NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, … name host and reference. */
  pull(reference: string, options: { readonly auth?: RegistryAuth } & Cancellable): Promise<Image>;
  /** Loads an OCI layout (directory or tar) or a `docker save` tar and unpacks it. */
  load(path: string, options: LoadOptions): Promise<readonly Image[]>;
  /** Removes every name of the image that the reference leads to; no error when absent. */
  remove(reference: string, call: Cancellable): Promise<void>;
  /**
   * One user of this chain's snapshot has ended. When its image was removed before, and nothing else uses the layers,
   * they go soon.
   */
  released(chainId: string): void;
  /** What images take of each file system that they are on; the first is that of layers and containers. */
  usage(call: Cancellable): Promise<readonly [DiskUsage, ...DiskUsage[]]>;
}

/** What is taken of a file system, known by a folder on it. */
export interface DiskUsage {
  readonly folder: string;
  readonly bytes: bigint;
  readonly inodes: bigint;
}
