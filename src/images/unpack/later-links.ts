// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";

/** A hard link whose target is not there yet. Paths count from the layer's root, one character a byte. */
export interface LaterLink {
  /** Where the link is to be. */
  readonly at: string;
  /** What the archive says that it leads to. */
  readonly linkName: string;
}

/** A hard link to a file of the layers below, by where that lies. */
export interface LowerLink {
  readonly at: string;
  readonly target: string;
}

/** Such links are rare, and are remembered to the end of the layer. */
const maxLinks = 100_000;
const maxLinkBytes = 16 * 1024 * 1024;

/** What becomes of a later link once all members are in. */
export interface LinkPlaces {
  /** Where a link's target lies now, and whether it is there to be linked. */
  target(link: LaterLink): { readonly at: string; readonly isThere: boolean };
  /** Makes the link, unless a later member has taken its place. */
  make(link: LaterLink, target: string): void;
}

/**
 * Hard links to what comes later in the archive, to themselves, or to files of the layers below. Some tools sort members
 * by name, others leave out what has not changed.
 */
export class LaterLinks {
  readonly #links = new Map<string, LaterLink>();
  #bytes = 0;

  /** RESOURCE_EXHAUSTED for more of them than layers have. */
  add(link: LaterLink): void {
    this.#bytes += link.at.length + link.linkName.length;
    this.#links.set(link.at, link);
    if (this.#links.size <= maxLinks && this.#bytes <= maxLinkBytes) return;
    throw fault(
      "RESOURCE_EXHAUSTED",
      `layer has more than ${maxLinks} hard links to what is not in it`,
    );
  }

  /**
   * Makes those that lead to what has come, also through one another, and also where a layer below has such a file, too: in
   * the end both are names of one file of this layer. Answers the others in the order in which they can
   * be made once the layers below are known.
   */
  settle(places: LinkPlaces): readonly LowerLink[] {
    const below: LowerLink[] = [];
    const seen = new Set<string>();
    /** Where those below lead to in the end: what is between may be there no more. */
    const ends = new Map<string, string>();
    for (const first of this.#links.values()) {
      const way: (LaterLink & { readonly target: string })[] = [];
      let isThere = false;
      for (let link: LaterLink | undefined = first; link && !seen.has(link.at); ) {
        seen.add(link.at);
        const target = places.target(link);
        way.push({ ...link, target: target.at });
        isThere = target.isThere;
        link = isThere || target.at === link.at ? undefined : this.#links.get(target.at);
      }
      const last = way.at(-1)?.target ?? "";
      const end = ends.get(last) ?? last;
      for (const link of way.reverse()) {
        if (isThere) places.make(link, link.target);
        else {
          ends.set(link.at, end);
          below.push({ at: link.at, target: end });
        }
      }
    }
    return below;
  }
}
