// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ServiceImpl } from "../../rpc/service.ts";

const unary = ["CheckpointContainer"] as const;

/** The methods this version does not have, each saying so with UNIMPLEMENTED. */
export function unimplemented(): ServiceImpl<"runtime.v1.RuntimeService"> {
  return Object.fromEntries(
    unary.map((method) => [method, () => Promise.reject(refusal(method))] as const),
  ) as ServiceImpl<"runtime.v1.RuntimeService">;
}

function refusal(method: string): Error {
  return fault("UNIMPLEMENTED", `${method} is not implemented by this version of Berth`);
}
