// SPDX-License-Identifier: Apache-2.0
// Builds the Go tools that the conformance tests use (crictl, critest, containerd's current shim,
// a kubelet) into $BERTH_TOOLS/bin, or ~/.cache/berth-tools/bin: all of them, or those named. What
// is already built from the present go.mod and go.sum is left alone. Each module names its Go.
import { buildTool, builtTool, type GoToolName, goToolNames } from "../test/support/go-tools.ts";

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !goToolNames.includes(name as GoToolName));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(", ")}; there are ${goToolNames.join(", ")}`);
  process.exitCode = 2;
} else {
  for (const name of asked.length > 0 ? (asked as GoToolName[]) : goToolNames) {
    const known = await builtTool(name);
    if (known !== undefined) {
      console.log(`${name} is there: ${known}`);
      continue;
    }
    try {
      await buildTool(name, { say: console.log });
    } catch (error) {
      console.error(error instanceof Error ? error.message : String(error));
      process.exitCode = 1;
    }
  }
}
