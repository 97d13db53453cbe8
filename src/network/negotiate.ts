// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Cancellable } from "../base/cancellable.ts";
import type { NetworkConf } from "./conf.ts";
import { runPlugin } from "./exec.ts";

/** VERSION is answered from a constant in the plugin; one that takes longer is assumed to speak every version. */
const versionMs = 5000;

const answerSchema = z.looseObject({ supportedVersions: z.array(z.string()) });

/**
 * The network with the newest of its versions that all its plugins speak. Plugins are asked only where the file
 * leaves a choice. One that cannot be asked has no part in it: ADD will report what is wrong with it. When no version
 * suits all, the newest is taken, and the plugin's own error says why it does not suit.
 */
export async function negotiateVersion<C extends NetworkConf>(
  conf: C,
  binDirs: readonly string[],
  call: Cancellable,
): Promise<C> {
  if (conf.offered.length < 2) return conf;
  const types = [...new Set(conf.plugins.map(({ type }) => type))];
  const spoken = await Promise.all(types.map((type) => versionsSpoken(conf, type, binDirs, call)));
  const best = conf.offered.findLast((version) =>
    spoken.every((versions) => versions === undefined || versions.includes(version)),
  );
  return { ...conf, cniVersion: best ?? conf.cniVersion };
}

async function versionsSpoken(
  conf: NetworkConf,
  type: string,
  binDirs: readonly string[],
  call: Cancellable,
): Promise<readonly string[] | undefined> {
  try {
    const input = { cniVersion: conf.cniVersion };
    const answer = await runPlugin(
      { command: "VERSION", type, network: conf.name, binDirs, input, timeoutMs: versionMs },
      call,
    );
    return answerSchema.parse(answer).supportedVersions;
  } catch {
    return undefined;
  }
}
