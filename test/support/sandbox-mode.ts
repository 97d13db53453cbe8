// SPDX-License-Identifier: Apache-2.0

/** What `[cri] sandbox` is for tests of real daemons: by $BERTH_TEST_SANDBOX. */
export const sandboxMode = process.env["BERTH_TEST_SANDBOX"] ?? "process";

/** Whether a pod's sandbox is in its shim, and ends with it; a sandbox process lives on, and its pod stays ready. */
export const isSandboxInShim = sandboxMode === "shim";
