// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { CheckName } from "./check-names.ts";
import type { Finding } from "./finding.ts";
import type { Patient } from "./patient.ts";

/** One thing that the doctor looks at. What it throws becomes a finding. */
export interface Check {
  /** As `--only` takes it. */
  readonly name: CheckName;
  /** What it looks at: a clause for the help page. */
  readonly about: string;
  /** It says nothing where the configuration cannot be read: what it looks at is found by that. */
  readonly needsConfig?: boolean;
  run(patient: Patient, call: Cancellable): Promise<readonly Finding[]>;
}
