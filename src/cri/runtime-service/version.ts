// SPDX-License-Identifier: Apache-2.0
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "version">;

/** Version: answers also while the daemon recovers, because a kubelet dials with it. */
export function version({ version: own }: Needs): Verb<"Version"> {
  return () =>
    Promise.resolve({
      version: "0.1.0",
      runtimeName: "berth",
      runtimeVersion: own,
      runtimeApiVersion: "v1",
    });
}
