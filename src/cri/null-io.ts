// SPDX-License-Identifier: Apache-2.0
import type { IoCreator, ProcessIo } from "../client/ports.ts";

/** IO of a process without streams: the sandbox's. */
export const nullIo: IoCreator = () => Promise.resolve(silent);

const silent: ProcessIo = {
  config: { stdin: "", stdout: "", stderr: "", terminal: false },
  drained: () => Promise.resolve(),
  closeStdin: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
