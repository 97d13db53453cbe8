// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { pathToFileURL } from "node:url";
import { fault } from "../../base/errors.ts";
import type { IoCreator } from "../ports.ts";
import { DetachedIo } from "./detached-io.ts";

/** Both output streams appended to one file, by the shim itself. INVALID_ARGUMENT for a relative path. */
export function logFileIo(file: string): IoCreator {
  if (!path.isAbsolute(file)) {
    throw fault("INVALID_ARGUMENT", `log file "${file}" is no absolute path`);
  }
  const { href } = pathToFileURL(file);
  return async () => new DetachedIo({ stdin: "", stdout: href, stderr: href, terminal: false });
}
