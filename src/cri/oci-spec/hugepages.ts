// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { HugepageLimit } from "../../gen/cri.gen.ts";
import { ociInteger } from "../../oci/encode-spec.ts";
import type { OciInteger } from "../../oci/spec.ts";
import type { HostFacts } from "./ports.ts";

const field = "linux.resources.hugepage_limits";

/**
 * Limits by page size. The kubelet sends one, mostly zero, for every size it knows, so a host without
 * the hugetlb controller leaves them out instead of failing every pod.
 */
export function hugepageLimits(
  requested: readonly HugepageLimit[],
  host: Pick<HostFacts, "cgroupControllers" | "hugepageSizes">,
): { pageSize: string; limit: OciInteger }[] {
  const limits = requested.map(({ pageSize, limit }) => {
    if (!/^\d+(KB|MB|GB)$/.test(pageSize)) {
      throw invalid(field, `"${pageSize}" is no page size such as 2MB`);
    }
    if (limit < 0n) throw invalid(field, `${pageSize} limit ${limit} is negative`);
    return { pageSize, limit: ociInteger(limit) };
  });
  if (!host.cgroupControllers.includes("hugetlb")) return [];
  for (const { pageSize, limit } of limits) {
    if (Number(limit) > 0 && !host.hugepageSizes.includes(pageSize)) {
      throw invalid(
        field,
        `this host has no pages of ${pageSize} (it has ${host.hugepageSizes.join(", ") || "none"})`,
      );
    }
  }
  return limits.filter(({ pageSize }) => host.hugepageSizes.includes(pageSize));
}
