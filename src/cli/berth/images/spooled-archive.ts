// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  createReadStream,
  createWriteStream,
  openSync,
  statSync,
  unlinkSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Cancellable } from "../../../base/cancellable.ts";
import { fault } from "../../../base/errors.ts";
import { diskFault } from "../../../base/on-disk.ts";
import type { Terminal } from "../../terminal.ts";

/** An archive under a path at which the daemon finds it, until it is disposed. */
export interface SpooledArchive extends Disposable {
  readonly path: string;
  /** The path is not what the caller named. */
  readonly isSpooled: boolean;
}

/** Names of this process' own descriptors, which mean others to the daemon. */
const ownDescriptor = /^\/(dev\/(stdin|fd\/\d+)|proc\/(self|thread-self)\/fd\/\d+)$/;

/**
 * A file or a folder as it is. An archive is read twice, and by the daemon: what comes through a pipe, or "-" for standard
 * input, is written into a file first, which has no name and so goes with this process. INVALID_ARGUMENT for a
 * terminal, RESOURCE_EXHAUSTED where there is no room for it.
 */
export async function spooledArchive(
  file: string,
  terminal: Terminal,
  call: Cancellable,
): Promise<SpooledArchive> {
  const source = streamOf(file, terminal);
  if (source === undefined) {
    return { path: path.resolve(file), isSpooled: false, [Symbol.dispose]: () => {} };
  }
  const name = path.join(os.tmpdir(), `berth-archive-${process.pid}-${crypto.randomUUID()}`);
  using undo = new DisposableStack();
  try {
    const fd = openSync(name, "wx+", 0o600);
    undo.defer(() => closeSync(fd));
    unlinkSync(name);
    const sink = createWriteStream("", { fd, autoClose: false });
    await pipeline(source, sink, { signal: call.signal });
    const owned = undo.move();
    return {
      path: `/proc/${process.pid}/fd/${fd}`,
      isSpooled: true,
      [Symbol.dispose]: () => owned.dispose(),
    };
  } catch (error) {
    throw diskFault("keep the archive until it is loaded", os.tmpdir(), error) ?? error;
  }
}

function streamOf(file: string, terminal: Terminal): Readable | undefined {
  if (file === "-") {
    if ("isTTY" in terminal.stdin && terminal.stdin.isTTY === true) {
      throw fault("INVALID_ARGUMENT", "an archive is expected on standard input, not a terminal");
    }
    return terminal.stdin;
  }
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined || found.isDirectory()) return undefined;
  return found.isFile() && !ownDescriptor.test(file) ? undefined : createReadStream(file);
}
