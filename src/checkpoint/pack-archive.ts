// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, type FaultCode, fault, isFault } from "../base/errors.ts";
import { lastJsonLine } from "../base/last-json-line.ts";
import { ownHeadroom } from "../base/memory/memory-headroom.ts";
import { extractorBytes } from "../base/memory/memory-shares.ts";
import { childEnvironment, run } from "../base/process.ts";

/** The child process's argument. */
export interface PackTask {
  readonly folder: string;
  /** File to be made. */
  readonly out: string;
}

export type PackAnswer =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly code: FaultCode;
      readonly message: string;
      /** Where the system refused. */
      readonly errno: string | undefined;
    };

/** Longest time without a quarter of a MiB packed. */
const silenceMs = 120_000;
/** It holds one piece of one file at a time. */
const heapMiB = 64;
const program = fileURLToPath(new URL("pack-child.ts", import.meta.url));

/**
 * Packs a folder of checkpoints into `file`, whole or not at all, for its owner's eyes only. A container decides how much
 * that is, so a process of its own does it. Errors: INVALID_ARGUMENT (the file cannot be written), RESOURCE_EXHAUSTED (no
 * memory for the process), ABORTED (a file shrank), DEADLINE_EXCEEDED (the disk does not answer), the signal's own.
 */
export async function packArchive(folder: string, file: string, call: Cancellable): Promise<void> {
  const partial = `${file}.${randomBytes(6).toString("hex")}.partial`;
  try {
    const answer = await pack({ folder, out: partial }, call);
    if (!answer.ok && answer.errno !== undefined) throw unwritable(file, answer.errno);
    if (!answer.ok) throw fault(answer.code, answer.message);
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {}); // its folder may be none
    call.signal.throwIfAborted();
    const errno = isFault(error) ? undefined : errnoOf(error);
    throw errno === undefined ? error : unwritable(file, errno, error);
  }
}

function unwritable(file: string, errno: string, cause?: unknown): Error {
  return fault("INVALID_ARGUMENT", `cannot write checkpoint "${file}": ${errno}`, { cause });
}

async function pack(task: PackTask, call: Cancellable): Promise<PackAnswer> {
  const claim = { what: "a process that packs a checkpoint", patienceMs: 30_000 };
  using _room = await ownHeadroom().claim(extractorBytes, claim, call);
  const { NODE_COMPILE_CACHE, MALLOC_ARENA_MAX } = childEnvironment(undefined);
  const args = [`--max-old-space-size=${heapMiB}`, program, JSON.stringify(task)];
  const { exitCode, stderr, stdout } = await run(process.execPath, args, {
    env: { NODE_COMPILE_CACHE, MALLOC_ARENA_MAX },
    signal: call.signal,
    silenceMs,
    anyExitCode: true,
  });
  const answer = lastJsonLine(stdout) as PackAnswer | undefined;
  if (answer !== undefined && answer.ok === (exitCode === 0)) return answer;
  const said = stderr.toString("utf8").trim().slice(-1024);
  throw fault("INTERNAL", `the packer of checkpoints exited with ${exitCode}: ${said}`);
}
