// SPDX-License-Identifier: Apache-2.0

/** Name of the runtime of sandbox processes, as a container's record has it. */
export const sandboxRuntimeName = "io.berth.sandbox.v1";
