// SPDX-License-Identifier: Apache-2.0

/** What the host tells the virtual machine, in /opt/berth/vm/plan.json. */
export interface VmPlan {
  /** Names of suites without `.test.ts`; all when empty. */
  readonly only: readonly string[];
  /** The whole of critest, and not the specs only that need what the VM has. */
  readonly wholeCritest: boolean;
  /** The host's folder of a newer runc, whose files name each other by it; "" for none. */
  readonly newerRunc: string;
  /** Whether Berth's package is installed, with what needs it; else the checkout, as deploy/README.md has it. */
  readonly isPackaged: boolean;
  /** What `[cri] sandbox` is there; "" for the default. */
  readonly sandbox: string;
}

/** The packages, beside the plan: what the machine installs, and the same under a newer version. */
export const packages = { ours: "berth.deb", newer: "berth-newer.deb" } as const;
/** What the suite that is called so leaves for after the reboot: test/vm/suites/rebooted/. */
export const rebootSuite = "package";
/** Where the machine remembers across its reboot: the counts until then, and what the suite leaves. */
export const memory = {
  counts: "/var/lib/berth-vm/counts.json",
  pods: "/var/lib/berth-vm/pods.json",
};
/** Where the project with the tests is in the virtual machine. */
export const projectFolder = "/opt/berth";
/** A line of this form is the last one: its counts are the run's. */
export const lastLine = /^vm: (\d+) passed, (\d+) failed, (\d+) skipped$/;
