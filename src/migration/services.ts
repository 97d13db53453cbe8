// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { ProcessFault, run } from "../base/process.ts";
import { sleep } from "../base/timers.ts";

/** What starts and stops services. */
export interface Services {
  /** Those commands have been carried out when it resolves; `isSo` tells it where only the operator can do so. */
  change(words: ServiceWords, isSo: () => Promise<boolean>, call: Cancellable): Promise<void>;
  /** Whether a service runs, as far as can be told. */
  isActive(service: string, call: Cancellable): Promise<boolean>;
  /** Whether there is such a unit; undefined where that cannot be known. */
  exists(service: string, call: Cancellable): Promise<boolean | undefined>;
  /** As an operator would type it. */
  spoken(words: ServiceWords): string;
}

/** `["stop", "kubelet"]`, as systemctl takes them. */
export type ServiceWords = readonly string[];

/** A kubelet that ends takes a minute and a half at most, which is systemd's limit. */
const commandMs = 150_000;
/** For somebody who was called to the keyboard. */
const operatorMs = 1_800_000;
const askMs = 500;
/** It does not run; there is no such service. */
const notActive = new Set([3, 4]);

/** `command`: in place of systemctl, with the same words. */
export function openServices(
  command: string | undefined,
  say: (line: string) => void,
  hasSystemd = existsSync("/run/systemd/system"),
): Services {
  const program = command ?? (hasSystemd ? "systemctl" : undefined);
  return program === undefined ? told(say) : byProgram(program, command === undefined);
}

function byProgram(program: string, isSystemctl: boolean): Services {
  return {
    spoken: (words) => [program, ...words].join(" "),
    change: async (words, _isSo, { signal }) => {
      await run(program, [...words], { signal, timeoutMs: commandMs });
    },
    exists: async (service, { signal }) => {
      if (!isSystemctl) return undefined; // it is told of starts and stops, and need not know more
      const options = { signal, timeoutMs: commandMs, anyExitCode: true };
      const { exitCode, stderr } = await run(program, ["cat", "--", `${service}.service`], options);
      if (exitCode === 0) return true;
      return stderr.toString().includes("No files found") ? false : undefined;
    },
    isActive: async (service, { signal }) => {
      try {
        await run(program, ["is-active", "--quiet", service], { signal, timeoutMs: commandMs });
        return true;
      } catch (error) {
        // Any other end tells nothing of the service.
        if (error instanceof ProcessFault && notActive.has(error.exitCode ?? 0)) return false;
        throw error;
      }
    },
  };
}

/** Without systemd the operator does it, and what can be seen of it is waited for. */
function told(say: (line: string) => void): Services {
  const spoken = ([verb = "", ...services]: ServiceWords): string => {
    const names = services.filter((one) => !one.startsWith("-")).join(" ");
    return `${verb} the service ${names}`;
  };
  return {
    spoken,
    exists: () => Promise.resolve(undefined),
    isActive: () => Promise.resolve(false),
    change: async (words, isSo, { signal }) => {
      if (words[0] === "daemon-reload" || (await isSo())) return;
      say(`there is no systemd here: ${spoken(words)} now; this goes on once that is seen`);
      using limit = deadline(operatorMs, `waiting for somebody to ${spoken(words)}`, signal);
      while (!(await isSo())) await sleep(askMs, limit);
    },
  };
}
