// SPDX-License-Identifier: Apache-2.0
import type { RuntimeFault } from "../../base/errors.ts";
import type { RegistryHost } from "./hosts.ts";

/** What counts as progress: less than this, however often, is none. */
export const leastBytes = 16 * 1024;
/** How often a download may make progress, after each of which it has all its patience again. */
const mostSteps = 256;
/** How often in a row a host may break off without progress while others can stand in for it. */
const patientBreaks = 2;

/**
 * How the download of one blob goes, over all its attempts: which hosts are not asked again and what they said, whose
 * bytes are here, and how far it has come.
 */
export class BlobCourse {
  /** What each host said that is not asked again, or not for now. */
  readonly failed = new Map<RegistryHost, RuntimeFault>();
  /** Those of them that only broke off. */
  readonly #unsteady = new Set<RegistryHost>();
  readonly #breaks = new Map<RegistryHost, number>();
  /** Whose bytes the ingest holds; undefined stands for an earlier pull. */
  readonly #bringers = new Set<RegistryHost | undefined>();
  readonly #stepBytes: number;
  #isOpened = false;
  #furthest = 0;

  /** `size` is the blob's. */
  constructor(size: number) {
    this.#stepBytes = Math.max(leastBytes, Math.ceil(size / mostSteps));
  }

  /** The ingest is open, with so many bytes. */
  opened(offset: number): void {
    if (offset === 0) this.#bringers.clear();
    else if (!this.#isOpened) this.#bringers.add(undefined);
    if (!this.#isOpened) this.#furthest = offset;
    this.#isOpened = true;
  }

  /** Bytes of this host are in the ingest. */
  brought(host: RegistryHost): void {
    this.#bringers.add(host);
  }

  /** Whether the ingest has become longer than ever, by a piece that counts. */
  advanced(offset: number): boolean {
    if (offset < this.#furthest + this.#stepBytes) return false;
    this.#furthest = offset;
    this.#breaks.clear();
    return true;
  }

  /** A host broke off without progress. While there are others it is not asked again too often. */
  brokeOff(host: RegistryHost, error: RuntimeFault): void {
    const breaks = (this.#breaks.get(host) ?? 0) + 1;
    this.#breaks.set(host, breaks);
    if (breaks < patientBreaks) return;
    this.#unsteady.add(host);
    this.failed.set(host, error);
  }

  /** Lets hosts that only broke off be asked again; false where there are none. */
  pardon(): boolean {
    for (const host of this.#unsteady) this.failed.delete(host);
    const isAny = this.#unsteady.size > 0;
    this.#unsteady.clear();
    this.#breaks.clear();
    return isAny;
  }

  /**
   * The ingest turned out to be wrong, and is empty from now on: the hosts that are to blame are not asked again. Where
   * bytes of several are in it that may be any of them, and the last of them is the likeliest to be right: `hosts` are in
   * the order to ask. False while bytes of an earlier pull are in it: nobody is blamed then.
   */
  wasWrong(error: RuntimeFault, hosts: readonly RegistryHost[]): boolean {
    const bringers = hosts.filter((host) => this.#bringers.has(host));
    const isKnown = !this.#bringers.has(undefined);
    const blamed = bringers.length > 1 ? bringers.slice(0, -1) : bringers;
    if (isKnown) for (const host of blamed) this.failed.set(host, error);
    this.#bringers.clear();
    return isKnown;
  }
}
