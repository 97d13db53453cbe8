// SPDX-License-Identifier: Apache-2.0
import { oomScoreFloor } from "../../base/os/oom-score.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { clampOomScore } from "./spec-text.ts";

/** An exec's process (JSON in an Any) with an oom score that this daemon may set. */
export function clampProcess(spec: ProtoAny): ProtoAny {
  const value = clampToFloor(spec.value);
  return value === spec.value ? spec : { type_url: spec.type_url, value: Buffer.from(value) };
}

/** A spec with oom scores that this daemon may set; the same bytes with CAP_SYS_RESOURCE. */
export function clampToFloor(spec: Uint8Array): Uint8Array {
  const floor = oomScoreFloor();
  return floor <= -1000 ? spec : clampOomScore(spec, floor);
}
