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

/** What the thread is given at its start. */
export interface FiguresThreadData {
  /** Of one element: the thread writes the number of the request that it reads, before it reads. */
  readonly reading: Int32Array;
}

/** One for each request, in their order. Some go over in one message; the first message, an empty one, says that the thread has begun. */
export interface FigureAnswer {
  readonly sequence: number;
  readonly value?: unknown;
  readonly failure?: string;
}
