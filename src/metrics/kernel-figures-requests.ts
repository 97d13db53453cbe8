// SPDX-License-Identifier: Apache-2.0

import type { CgroupPaths } from "./cgroup/cgroup-layout.ts";
import type { CgroupLimits } from "./cgroup/cgroup-limits.ts";
import type { CgroupSample } from "./cgroup/cgroup-sample.ts";
import type { InterfaceCounters } from "./interface-counters.ts";
import type { OpenFiles } from "./open-files.ts";

/** What a scrape wants to know of one task, beside its writable layer. */
export interface TaskFigures {
  /** undefined when the cgroup is gone. */
  readonly cgroup: CgroupSample | undefined;
  readonly limits: CgroupLimits;
  readonly processes: number | undefined;
  readonly openFiles: OpenFiles | undefined;
  readonly openFilesLimit: number | undefined;
  readonly interfaces: readonly InterfaceCounters[];
}

/** The files of one cgroup or process that are to be read. */
export type FigureRequest =
  | { readonly kind: "usage"; readonly paths: CgroupPaths }
  | { readonly kind: "processes"; readonly paths: CgroupPaths }
  | { readonly kind: "interfaces"; readonly pid: number }
  | {
      readonly kind: "task";
      readonly paths: CgroupPaths;
      readonly pid: number;
      readonly withInterfaces: boolean;
    };

export interface NumberedRequest {
  readonly sequence: number;
  readonly request: FigureRequest;
}

/** The number of the answer by which a thread tells that it has begun; requests have others. */
export const readySequence = 0;

/** One for each request, in their order. */
export interface FigureAnswer {
  readonly sequence: number;
  readonly value?: unknown;
  readonly failure?: string;
}
