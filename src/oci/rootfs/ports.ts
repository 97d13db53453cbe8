// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { IdMappings } from "../../base/os/id-mapping.ts";
import type { AccountQuery, FoundAccounts } from "../../trees/accounts/passwd-file.ts";
import type { CopySize } from "../../trees/copy-meter.ts";

/**
 * Reads inside an image's file system. Paths are absolute within it; symbolic links resolve within
 * it too and can never lead out. openRootfs (rootfs-reader.ts) makes one over a mounted rootfs or
 * over the layers of an overlay, topmost first.
 */
export interface RootfsReader {
  /**
   * Looks through a file like /etc/passwd or /etc/group; finds nothing where there is no regular file.
   * INVALID_ARGUMENT for one of absurd length.
   */
  searchAccounts(path: string, query: AccountQuery, call: Cancellable): Promise<FoundAccounts>;
  /**
   * Copies the directory `path`, as the image has it, to the host directory `destination`, which is made;
   * see copyTree (src/trees). Answers what the copy takes; undefined when `path` is no directory.
   */
  copyDirectory(
    path: string,
    destination: string,
    options: CopyOptions,
    call: Cancellable,
  ): Promise<CopySize | undefined>;
}

export interface CopyOptions {
  /** What owners become; as they are when left out. */
  readonly mappings?: IdMappings | undefined;
  /** Refuse what is neither a file nor a folder (INVALID_ARGUMENT), and more than 100,000 entries. */
  readonly plain?: boolean;
  /** FAILED_PRECONDITION where the copy would take more. */
  readonly most?: CopySize;
}
