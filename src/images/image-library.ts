// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { Logger } from "../base/logger.ts";
import type { ImagesConfig, RegistryConfig } from "../config/config.ts";
import type { ContentStore } from "../content/ports.ts";
import type { GarbageCollector } from "../garbage/ports.ts";
import type { MetadataStore } from "../metadata/ports.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import type { BuiltinImage } from "./image-catalog.ts";
import type { ImageRecord, ImageRecords, NameChange } from "./image-records.ts";
import type { Platform } from "./manifest/platform.ts";
import type {
  DamageFinding,
  Image,
  Images,
  PushedImage,
  PushOptions,
  RegistryAuth,
  VerifiedCounts,
} from "./ports.ts";
import type { Transfer } from "./progress/transfer.ts";
import type { TransferNews, Transfers } from "./progress/transfers.ts";
import type { Patience } from "./registry/patience.ts";

export interface ImagesOptions {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly garbage: GarbageCollector;
  readonly metadata: MetadataStore;
  /** Looked at for each pull, as is `registry`. */
  readonly config: ImagesConfig;
  readonly registry: RegistryConfig;
  /** How often registries are asked again; tests have less. */
  readonly patience?: Patience;
  readonly platform: Platform;
  readonly log: Logger;
  /** Images that come with the daemon, such as the sandbox image. */
  readonly builtin?: readonly BuiltinImage[];
  /** Hears of each name that a pull, a load or a removal has changed. Must not throw. */
  readonly onNameChange?: (change: NameChange) => void;
  /** Hears of pulls and pushes as they go on. Must not throw. */
  readonly onTransfer?: (news: TransferNews) => void;
  /** How long processes that have extracted layers wait for more, in milliseconds. Default 0. */
  readonly keepExtractorsMs?: number;
  /** Shutdown: ends pulls that run, and such processes. */
  readonly signal?: AbortSignal;
}

/** Images, with what lies below CRI's view of them. */
export interface ImageLibrary extends Images {
  /** containerd's view: names and targets. After changing them, call `refreshAll`. */
  readonly records: ImageRecords;
  /** Makes CRI's view of a record whose content and snapshots are there; false when they are not. */
  refresh(record: ImageRecord, call: Cancellable): Promise<boolean>;
  /** Call when others have changed records or made layers: shows the images that have become complete. */
  refreshAll(call: Cancellable): Promise<void>;
  /** The config document as the image has it, in JSON, for inspection; undefined for a built-in image. */
  inspect(image: Image, call: Cancellable): Promise<string | undefined>;
  /**
   * Holds all blobs and layers of one image or of all against their digests, and drops what is damaged. Takes as long as
   * reading and extracting them. `reference` is as for `find`; all images when left out. NOT_FOUND for an image that is
   * not there.
   */
  verify(
    reference: string | undefined,
    call: Cancellable,
  ): AsyncGenerator<DamageFinding, VerifiedCounts, undefined>;
  /** Pulls and pushes that run. */
  readonly transfers: Transfers;
  /** The pull of an image that runs, by any name for it. */
  transferOf(reference: string): Transfer | undefined;
  /** The pull of this name and login that runs, if there is one. */
  pulling(reference: string, auth: RegistryAuth | undefined): Transfer | undefined;
  /** Pushes an image to its registry, or to another one. NOT_FOUND for one that is not there. */
  push(reference: string, options: PushOptions): Promise<PushedImage>;
  /** Removes what no image and no container needs; false when something is being made. */
  collectGarbage(call: Cancellable): Promise<boolean>;
}
