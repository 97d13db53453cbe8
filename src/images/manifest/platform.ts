// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { shortened } from "../../base/shortened.ts";

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

/** The platform by the words that images use for it, as containerd's platforms package puts them. */
function normalized({ os, architecture, variant }: Platform): Platform {
  const arch = architecture.toLowerCase();
  const plain = { os: os.toLowerCase() || "linux", variant: variant.toLowerCase() };
  switch (arch) {
    case "i386":
      return { ...plain, architecture: "386", variant: "" };
    case "x86_64":
    case "x86-64":
      return { ...plain, architecture: "amd64" };
    case "aarch64":
      return { ...plain, architecture: "arm64" };
    case "armhf":
      return { ...plain, architecture: "arm", variant: "v7" };
    case "armel":
      return { ...plain, architecture: "arm", variant: "v6" };
    default:
      return { ...plain, architecture: arch };
  }
}

/** Of another architecture, which most processors of this one run too, and which containerd takes where nothing fits better. */
const compatible: Readonly<Record<string, string>> = { amd64: "386", arm64: "arm" };
const compatibleFit = 100;

/**
 * How well something built for `offered` runs on `wanted`; 0 is the best, undefined means not at all. arm and amd64 run
 * what was built for older variants; a plain name means the usual variant. Architectures may have their other names, in
 * any case.
 */
export function platformFit(wanted: Platform, offered: Platform): number | undefined {
  return normalizedFit(normalized(wanted), normalized(offered));
}

function normalizedFit(wanted: Platform, offered: Platform): number | undefined {
  if (wanted.os !== offered.os) return undefined;
  const have = variantNumber(wanted);
  const need = variantNumber(offered);
  if (wanted.architecture !== offered.architecture) {
    if (compatible[wanted.architecture] !== offered.architecture) return undefined;
    if (offered.architecture !== "arm") return compatibleFit;
    return need >= 5 && need <= 8 ? compatibleFit + 8 - need : undefined;
  }
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

/** The item whose platform fits best, the first of equals; undefined when none fits or none names its platform. */
export function bestFor<T extends { readonly platform?: Platform | undefined }>(
  wanted: Platform,
  offered: readonly T[],
): T | undefined {
  let best: { item: T; fit: number } | undefined;
  for (const item of offered) {
    const fit = item.platform && platformFit(wanted, item.platform);
    if (fit !== undefined && fit < (best?.fit ?? Number.POSITIVE_INFINITY)) best = { item, fit };
  }
  return best?.item;
}

/**
 * Which items to try, in this order: the one whose platform fits best, else those that name none, as some tools write
 * them. What these are for only their configs tell.
 */
export function candidatesFor<T extends { readonly platform?: Platform | undefined }>(
  wanted: Platform,
  offered: readonly T[],
): readonly T[] {
  const best = bestFor(wanted, offered);
  return best ? [best] : offered.filter(({ platform }) => platform === undefined);
}

export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== "").join("/");
}

/** `linux/arm64`, `linux/arm/v7`; INVALID_ARGUMENT for anything else. */
export function parsePlatform(text: string): Platform {
  const [os = "", architecture = "", variant = "", ...rest] = text.toLowerCase().split("/");
  const isWord = (word: string): boolean => /^[a-z0-9_.-]{1,64}$/.test(word);
  const words = variant === "" ? [os, architecture] : [os, architecture, variant];
  if (rest.length > 0 || !words.every(isWord) || text.endsWith("/")) {
    throw fault(
      "INVALID_ARGUMENT",
      `bad platform "${shortened(text, 100)}": expected one such as linux/arm64 or linux/arm/v7`,
    );
  }
  return { os, architecture, variant };
}
