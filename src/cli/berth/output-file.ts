// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { createWriteStream, type Stats } from "node:fs";
import { realpath, rename, rm, stat } from "node:fs/promises";
import type { Writable } from "node:stream";
import { errnoOf, fault } from "../../base/errors.ts";
import { systemWords } from "../../base/system-words.ts";
import type { CliIo } from "../cli-io.ts";
import { processTerminal, type Terminal } from "../terminal.ts";

/** Sends all that is written, and settles when the sink has it. */
type Send = (sink: Writable) => Promise<void>;

/**
 * Standard output, for an archive: where no file is named, or `-`. undefined for a file. INVALID_ARGUMENT where that is
 * a terminal.
 */
export function archiveOutput(output: string | undefined, io: CliIo): Writable | undefined {
  if (output !== undefined && output !== "-") return undefined;
  const terminal: Terminal = (io.terminal ?? processTerminal)();
  if (terminal.size() === undefined) return terminal.stdout;
  throw fault(
    "INVALID_ARGUMENT",
    "an archive is not for a terminal: name a file with --output, or redirect standard output",
  );
}

/**
 * A file appears under its name when it is whole, through a link where its target is. What is no file (a pipe, a device)
 * is written to as it is. Errors of the system name the file; those of `send` stay what they are.
 */
export async function writeOutput(output: string, send: Send): Promise<void> {
  try {
    const there = await statOf(output);
    if (there !== undefined && !there.isFile()) {
      await send(createWriteStream(output));
      return;
    }
    const target = there === undefined ? output : await realpath(output);
    const partial = `${target}.${randomBytes(4).toString("hex")}.partial`;
    try {
      await send(createWriteStream(partial, { flags: "wx", flush: true }));
      await rename(partial, target);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
  } catch (error) {
    const why = systemWords(error);
    if (why === undefined) throw error;
    throw fault("FAILED_PRECONDITION", `cannot write ${output}: ${why}`, { cause: error });
  }
}

async function statOf(name: string): Promise<Stats | undefined> {
  try {
    return await stat(name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
