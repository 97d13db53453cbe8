// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../../base/logger.ts";
import { run } from "../../base/process.ts";
import type { RuntimeConfig } from "../../config/config.ts";
import { onCommit, type ReloadPart } from "../../config/reload-port.ts";
import { isRuncType } from "../../config/runc-options.ts";
import type { FlawedRuntime } from "../../oci/runtime-flaws.ts";
import { flawsOf } from "../../oci/runtime-flaws.ts";

const limitMs = 5_000;

/** What is known of the handlers' OCI runtimes. From memory. */
export interface RuntimeFlaws {
  readonly list: () => readonly FlawedRuntime[];
  readonly reload: ReloadPart;
  /** Settles when the first look is over. Never rejects. */
  readonly looked: Promise<void>;
}

/**
 * Asks the OCI runtime of each handler for its version, beside everything else, and warns once of flaws
 * that are known of it. A warning and no more: distributions mend flaws without a new number.
 */
export function watchRuntimeFlaws(
  { handlers }: Pick<RuntimeConfig, "handlers">,
  log: Logger,
  lifetime: AbortSignal,
): RuntimeFlaws {
  let known: readonly FlawedRuntime[] = [];
  let told = "";
  const look = async (from: RuntimeConfig["handlers"]): Promise<void> => {
    const found = await flawedRuntimes(from, lifetime);
    known = found;
    const text = JSON.stringify(found);
    if (text === told) return;
    told = text;
    for (const { handler, binary, version, build, flaws } of found) {
      log.warn(
        { handler, binary, version, build, flaws: flaws.map(({ id }) => id) },
        `this ${binary} has known flaws, unless its packager has mended them; see berth status`,
      );
    }
  };
  const looked = look(handlers).catch(() => {});
  return {
    list: () => known,
    looked,
    reload: {
      keys: ["runtime.handlers"],
      prepare: async ({ runtime }) =>
        onCommit(() => {
          look(runtime.handlers).catch(() => {}); // only the daemon's end makes it fail
        }),
    },
  };
}

async function flawedRuntimes(
  handlers: RuntimeConfig["handlers"],
  signal: AbortSignal,
): Promise<readonly FlawedRuntime[]> {
  const found: FlawedRuntime[] = [];
  const texts = new Map<string, string>(); // handlers mostly have the same runtime
  for (const [handler, { type, binaryName }] of Object.entries(handlers)) {
    if (!isRuncType(type)) continue;
    const binary = binaryName || "runc";
    const text = texts.get(binary) ?? (await versionText(binary, signal));
    texts.set(binary, text);
    const [, program = "", version = ""] = /^(\w+) version (\S+)/m.exec(text) ?? [];
    const build = /^commit: (\S+)/m.exec(text)?.[1] ?? "";
    const flaws = flawsOf(program, version);
    if (flaws.length > 0) found.push({ handler, binary, version, build, flaws });
  }
  return found;
}

/** "" when it cannot be asked: whether a handler works is told elsewhere. */
async function versionText(binary: string, signal: AbortSignal): Promise<string> {
  try {
    const { stdout } = await run(binary, ["--version"], { signal, timeoutMs: limitMs });
    return stdout.toString("utf8");
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error) return "";
    throw error;
  }
}
