// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { Cancellable } from "../../../base/cancellable.ts";
import { errnoOf, fault, isFault } from "../../../base/errors.ts";
import { childEnvironment, run } from "../../../base/process.ts";

/** The kernel's AppArmor profiles, and the program that loads them. */
export interface ProfileKernel {
  /** Names of the loaded profiles. FAILED_PRECONDITION where the kernel does not show them. */
  loaded(): Promise<ReadonlySet<string>>;
  /** `[major, minor]` of apparmor_parser; undefined when it is not installed. */
  parserVersion(call: Cancellable): Promise<readonly [number, number] | undefined>;
  /** Loads a profile's text, in place of the one of that name. UNKNOWN with what the parser says. */
  load(text: string, call: Cancellable): Promise<void>;
  /** The label that the daemon itself runs under, "unconfined" for none. */
  ownLabel(): Promise<string>;
}

/** Compiling takes a second, on an emulated machine ten. */
const parserMs = 120_000;

/** The real one. `root` stands for "/" and `parser` for the program; both are others only in tests. */
export function createProfileKernel(root = "", parser = "apparmor_parser"): ProfileKernel {
  const parse = (args: readonly string[], input: string, { signal }: Cancellable) =>
    run(parser, args, { env: withSystemFolders(), input, signal, timeoutMs: parserMs });
  return {
    loaded: async () => {
      const list = `${root}/sys/kernel/security/apparmor/profiles`;
      try {
        return profileNames(await readFile(list, "utf8"));
      } catch (error) {
        const why = errnoOf(error) ?? String(error);
        throw fault("FAILED_PRECONDITION", `cannot read ${list}: ${why}; is securityfs mounted?`, {
          cause: error,
        });
      }
    },
    parserVersion: async (call) => {
      try {
        const { stdout } = await parse(["--version"], "", call);
        const [, major = "0", minor = "0"] = /version (\d+)\.(\d+)/.exec(stdout.toString()) ?? [];
        return [Number(major), Number(minor)];
      } catch (error) {
        if (isFault(error, "NOT_FOUND")) return undefined;
        throw error;
      }
    },
    load: async (text, call) => {
      // K: no cache of compiled profiles, whose key is a file's name. r: replace what is there.
      await parse(["-Kr"], text, call);
    },
    ownLabel: async () => labelOf(await ownAttribute(root)),
  };
}

/** Lines are `name (mode)`; a name may hold spaces. */
function profileNames(list: string): ReadonlySet<string> {
  return new Set(list.split("\n").map(labelOf));
}

function labelOf(line: string): string {
  return line.trim().replace(/ \([a-z]+\)$/, "");
}

/** Beside another LSM the plain file is that one's; AppArmor's own folder came with Linux 5.8. */
async function ownAttribute(root: string): Promise<string> {
  for (const file of ["apparmor/current", "current"]) {
    const text = await readFile(`${root}/proc/self/attr/${file}`, "utf8").catch(() => "");
    const label = text.trim();
    // A stacked label cannot be named in a rule, nor can one that would end or carry on the quotes around it.
    if (label !== "") return /["\\\n]|\/\/&/.test(label) ? "unconfined" : label;
  }
  return "unconfined";
}

/** A daemon started by hand may have a PATH without the folders of system programs. */
function withSystemFolders(): Record<string, string | undefined> {
  const env = childEnvironment(undefined);
  return { ...env, PATH: [env["PATH"] ?? "", "/usr/sbin", "/sbin"].filter(Boolean).join(":") };
}
