// SPDX-License-Identifier: Apache-2.0
import type { ServiceImpl } from "../../rpc/service.ts";

/** A handler of one ImageService method. */
export type Verb<M extends keyof ServiceImpl<"runtime.v1.ImageService">> = NonNullable<
  ServiceImpl<"runtime.v1.ImageService">[M]
>;
