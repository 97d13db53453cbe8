// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Cancellable } from "../base/cancellable.ts";
import { type FaultCode, fault } from "../base/errors.ts";
import { lastJsonLine } from "../base/last-json-line.ts";
import { readOnly } from "../base/os/overlay.ts";
import { run } from "../base/process.ts";
import type { Digest } from "../content/ports.ts";
import type { TypesMount } from "../gen/types.gen.ts";
import type { Compression } from "../images/unpack/decompress.ts";
import type { ScratchMounts } from "./scratch-mounts.ts";

/** The child process's argument. */
export interface DiffTask {
  /** The child's root. */
  readonly root: string;
  /** File to write, opened before the child changes its root. */
  readonly out: string;
  /** Folders inside the root. */
  readonly lower: string;
  readonly upper: string;
  readonly compression: Compression;
  readonly latestNanos?: string;
}

export type DiffAnswer =
  | { readonly ok: true; readonly diffId: Digest }
  | { readonly ok: false; readonly code: FaultCode; readonly message: string };

export interface DiffRequest {
  readonly left: readonly TypesMount[];
  readonly right: readonly TypesMount[];
  readonly compression: Compression;
  readonly latestNanos: bigint | undefined;
}

export interface MadeDiff {
  /** File of the layer, in the scratch folder. */
  readonly file: string;
  /** Digest of the plain archive. */
  readonly diffId: Digest;
}

/** Longest time without a step done: a name looked at, or a piece of a file packed. */
const silenceMs = 120_000;
const program = fileURLToPath(new URL("diff-child.ts", import.meta.url));

/** Packs what makes `right` differ from `left` into a file of the scratch folder. */
export async function makeDiff(
  { left, right, compression, latestNanos }: DiffRequest,
  scratch: ScratchMounts,
  { signal }: Cancellable,
): Promise<MadeDiff> {
  await scratch.mount("lower", left.map(readOnly));
  await scratch.mount("upper", right.map(readOnly));
  const file = path.join(scratch.folder, "layer");
  const task: DiffTask = {
    root: scratch.folder,
    out: file,
    lower: "/lower",
    upper: "/upper",
    compression,
    ...(latestNanos !== undefined && { latestNanos: String(latestNanos) }),
  };
  const result = await run(process.execPath, [program, JSON.stringify(task)], {
    env: {},
    signal,
    silenceMs,
    anyExitCode: true,
  });
  const answer = lastJsonLine(result.stdout) as DiffAnswer | undefined;
  if (answer?.ok === false) throw fault(answer.code, answer.message);
  if (answer === undefined || result.exitCode !== 0) {
    const said = result.stderr.toString("utf8").trim().slice(-1024);
    throw fault("INTERNAL", `the packer of differences exited with ${result.exitCode}: ${said}`);
  }
  return { file, diffId: answer.diffId };
}
