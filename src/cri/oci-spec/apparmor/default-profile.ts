// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "../../../base/atomic-file.ts";
import type { Cancellable } from "../../../base/cancellable.ts";
import { errnoOf, toFault } from "../../../base/errors.ts";
import type { Logger } from "../../../base/logger.ts";
import { SingleFlight } from "../../../base/single-flight.ts";
import type { ProfileKernel } from "./profile-kernel.ts";
import { builtInProfileName, defaultProfileText } from "./profile-text.ts";

/** The profile behind `runtime/default`. */
export interface DefaultAppArmorProfile {
  /** "" when the configuration turns it off. */
  readonly name: string;
  /**
   * Undefined once containers can have it, else why they cannot. Berth's own is loaded first when the
   * kernel lacks it; callers that come meanwhile wait for the same attempt.
   */
  ensure(): Promise<string | undefined>;
  /** What Status tells: as the last attempt left it. */
  describe(): AppArmorState;
}

export interface AppArmorState {
  readonly enabled: boolean;
  readonly defaultProfile: string;
  /** Why the default profile cannot be had; "" when it can, or when nobody has tried yet. */
  readonly problem: string;
}

export interface DefaultProfileOptions {
  /** Whether the kernel enforces AppArmor. */
  readonly enabled: boolean;
  /** Of the configuration: the built-in name, another profile's, or "" for none. */
  readonly name: string;
  /** File below STATE that tells which text was loaded; a reboot clears it together with the kernel's. */
  readonly stampFile: string;
  readonly kernel: ProfileKernel;
  readonly log: Logger;
  readonly lifetime: AbortSignal;
}

/** Looks after the default profile. It loads nothing by itself: `ensure` does. */
export function createDefaultProfile(options: DefaultProfileOptions): DefaultAppArmorProfile {
  const { enabled, name, kernel, log } = options;
  const loads = new SingleFlight<string | undefined>({ lifetime: options.lifetime });
  let isCurrent = false;
  let problem = "";

  const attempt = async (call: Cancellable): Promise<string | undefined> => {
    const found = await makeAvailable(call).catch((error: unknown) => {
      call.signal.throwIfAborted();
      return toFault(error).message;
    });
    if (found !== undefined && found !== problem) {
      log.warn({ profile: name, problem: found }, "default AppArmor profile is not available");
    }
    problem = found ?? "";
    return found;
  };

  const makeAvailable = async (call: Cancellable): Promise<string | undefined> => {
    const isListed = (await kernel.loaded()).has(name);
    if (name !== builtInProfileName) {
      return isListed ? undefined : `profile "${name}" is not loaded; load it with apparmor_parser`;
    }
    if (isListed && isCurrent) return undefined;
    const parser = await kernel.parserVersion(call);
    if (parser === undefined) {
      if (isListed) return undefined;
      return `profile "${name}" is not loaded, and there is no apparmor_parser to load it with`;
    }
    const text = defaultProfileText({ name, daemonLabel: await kernel.ownLabel(), parser });
    const stamp = createHash("sha256").update(text).digest("hex");
    if (!isListed || (await readStamp(options.stampFile)) !== stamp) {
      await kernel.load(text, call);
      await writeFileAtomic(options.stampFile, stamp);
      log.info({ profile: name }, "default AppArmor profile loaded");
    }
    isCurrent = true;
    return undefined;
  };

  return {
    name,
    ensure: () => {
      if (name === "") return Promise.resolve("the configuration turns the default profile off");
      if (!enabled) return Promise.resolve("the kernel of this host has no AppArmor");
      return loads.join(name, attempt);
    },
    describe: () => ({ enabled, defaultProfile: name, problem }),
  };
}

async function readStamp(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}
