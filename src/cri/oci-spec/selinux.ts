// SPDX-License-Identifier: Apache-2.0

import { invalid, unsupported } from "../../base/invalid-field.ts";
import type { SELinuxOption } from "../../gen/cri.gen.ts";

/** A sensitivity, with categories by comma: each is one (`c1`) or a range of them (`c1.c5`). */
const side = /s\d+(?::c\d{1,4}(?:\.c\d{1,4})?(?:,c\d{1,4}(?:\.c\d{1,4})?)*)?/.source;

/** One side, or a low and a high one, each with categories of its own: the kernel's mls_context_to_sid. */
const levelPattern = new RegExp(`^${side}(?:-${side})?$`);

/**
 * Holds the request against the host. Where the kernel has no SELinux, options are ignored, as every
 * runtime does: many system pods carry `spc_t` for the nodes that have it. Where it is on, labels are
 * not written yet, and running without the label that was asked for would be worse than refusing.
 */
export function checkSelinux(
  options: SELinuxOption | null,
  host: { readonly selinux: boolean },
): void {
  if (options === null) return;
  const { user, role, type, level } = options;
  const field = "linux.security_context.selinux_options";
  if (level !== "" && !levelPattern.test(level)) {
    throw invalid(`${field}.level`, `"${level}" is no level such as s0:c1,c2`);
  }
  if (host.selinux && [user, role, type, level].some((part) => part !== "")) {
    throw unsupported(field, "SELinux labels are not supported by this runtime");
  }
}
