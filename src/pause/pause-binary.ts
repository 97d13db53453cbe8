// SPDX-License-Identifier: Apache-2.0
import path from "node:path";

const ociNames: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** Where scripts/build-pause.ts puts the sandbox's binary for this machine: build/pause-amd64 or build/pause-arm64. */
export function pauseBinaryPath(): string {
  const name = `pause-${ociNames[process.arch] ?? process.arch}`;
  return path.resolve(import.meta.dirname, "../../build", name);
}
