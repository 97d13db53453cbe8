// SPDX-License-Identifier: Apache-2.0

export interface Platform {
  readonly os: string;
  /** As Go names it: amd64, arm64, arm, … */
  readonly architecture: string;
  /** v8 for arm64, v7 for arm; "" for the plain one. */
  readonly variant: string;
}

const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  loong64: "loong64",
  mips64el: "mips64le",
};

/** The platform of a Node process, in Go's words. */
export function hostPlatform(arch: string = process.arch): Platform {
  return { os: "linux", architecture: architectures[arch] ?? arch, variant: "" };
}

/**
 * How well something built for `offered` runs on `wanted`; 0 is the best, undefined means not at all.
 * arm runs what was built for older variants; a plain name means the usual variant.
 */
export function platformFit(wanted: Platform, offered: Platform): number | undefined {
  if (wanted.os !== offered.os || wanted.architecture !== offered.architecture) return undefined;
  const have = variantNumber(wanted);
  const need = variantNumber(offered);
  if (have === need) return 0;
  const runsOlder = wanted.architecture === "arm" || wanted.architecture === "amd64";
  return runsOlder && need < have && need >= (wanted.architecture === "arm" ? 5 : 1)
    ? have - need
    : undefined;
}

const usualVariant: Readonly<Record<string, number>> = { amd64: 1, arm64: 8, arm: 7 };

function variantNumber({ architecture, variant }: Platform): number {
  const match = /^v?(\d+)/.exec(variant);
  if (match) return Number(match[1]);
  return usualVariant[architecture] ?? 0;
}

/** The item whose platform fits best; the first of equals. */
export function bestFor<T extends { readonly platform?: Platform | undefined }>(
  wanted: Platform,
  offered: readonly T[],
): T | undefined {
  let best: { item: T; fit: number } | undefined;
  for (const item of offered) {
    const fit = item.platform && platformFit(wanted, item.platform);
    if (fit !== undefined && fit < (best?.fit ?? Number.POSITIVE_INFINITY)) best = { item, fit };
  }
  // An index that names no platforms at all, as some tools write for one image.
  return best?.item ?? offered.find(({ platform }) => platform === undefined);
}

export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== "").join("/");
}
