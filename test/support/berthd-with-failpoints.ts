// SPDX-License-Identifier: Apache-2.0
// Entry of a berthd that dies where it is told to: BERTH_TEST_FAILPOINTS names the folder.
import { installFailpoints } from "./failpoints.ts";

const folder = process.env["BERTH_TEST_FAILPOINTS"];
if (!folder) throw new Error("BERTH_TEST_FAILPOINTS is not set");
installFailpoints(folder);
await import("../../src/cli/berthd.ts");
