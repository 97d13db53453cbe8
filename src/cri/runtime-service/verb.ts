// SPDX-License-Identifier: Apache-2.0
import type { ServiceImpl } from "../../rpc/service.ts";

/** A handler of one RuntimeService method. */
export type Verb<M extends keyof ServiceImpl<"runtime.v1.RuntimeService">> = NonNullable<
  ServiceImpl<"runtime.v1.RuntimeService">[M]
>;
