// SPDX-License-Identifier: Apache-2.0
export type { Claim } from "./operation.ts";
