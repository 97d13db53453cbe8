// SPDX-License-Identifier: Apache-2.0

/** What the host tells the virtual machine, in /opt/berth/vm/plan.json. */
export interface VmPlan {
  /** Names of suites without `.test.ts`; all when empty. */
  readonly only: readonly string[];
  /** The whole of critest, and not the specs only that need what the VM has. */
  readonly wholeCritest: boolean;
  /** The host's folder of a newer runc, whose files name each other by it; "" for none. */
  readonly newerRunc: string;
  /** What `[cri] sandbox` is there; "" for the default. */
  readonly sandbox: string;
}

/** Where the project is in the virtual machine, as deploy/README.md has it. */
export const projectFolder = "/opt/berth";
/** A line of this form is the last one: its counts are the run's. */
export const lastLine = /^vm: (\d+) passed, (\d+) failed, (\d+) skipped$/;
