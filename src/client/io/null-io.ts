// SPDX-License-Identifier: Apache-2.0
import type { IoCreator } from "../ports.ts";
import { DetachedIo } from "./detached-io.ts";

/** No streams at all: what the process writes goes to /dev/null. */
export const nullIo: IoCreator = async () =>
  new DetachedIo({ stdin: "", stdout: "", stderr: "", terminal: false });
