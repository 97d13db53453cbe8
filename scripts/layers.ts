// SPDX-License-Identifier: Apache-2.0
// Holds the imports of src/ against the table in scripts/layers/layers.ts. Exits 1 and says each fault when they differ.
import path from "node:path";
import { layerFaults } from "./layers/check-layers.ts";
import { modulesIn } from "./layers/imports.ts";
import { layers, libraries } from "./layers/layers.ts";

const root = path.resolve(import.meta.dirname, "..");
const faults = layerFaults(modulesIn(root, "src"), { layers, libraries });
for (const fault of faults) process.stderr.write(`${fault}\n`);
process.exitCode = faults.length > 0 ? 1 : 0;
