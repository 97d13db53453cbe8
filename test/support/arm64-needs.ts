// SPDX-License-Identifier: Apache-2.0
import { lacking } from "./lacking.ts";

/**
 * Throws, and so fails the file: these tests are a step of a release, and one that was skipped would pass for one that was
 * done.
 */
export function refuseLack(programs: readonly string[], arch: string = process.arch): void {
  if (arch !== "x64") {
    throw new Error(
      `npm run test:arm64 emulates an arm64 machine on an x64 one, and this is ${arch}: on arm64 itself npm test and npm run test:package are for that`,
    );
  }
  const lack = lacking(...programs);
  if (lack === false) return;
  throw new Error(`npm run test:arm64 ${lack}: scripts/setup.sh --arm64-vm, as root, brings it`);
}
