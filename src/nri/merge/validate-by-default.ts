// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { shortened } from "../../base/shortened.ts";
import type { FieldOwners, ValidateContainerAdjustmentRequest } from "../messages.ts";
import { type FieldName, fieldNumbers } from "./fields.ts";
import { missingPlugins } from "./required-plugins.ts";
import type { ValidatorRules } from "./validator-rules.ts";

/** A long list of offenders says no more than a short one. */
const longestReason = 1024;

/**
 * Holds a merged adjustment against the administrator's rules. FAILED_PRECONDITION, in the words of the NRI module, with
 * the plugins that have done what the rules reject, or those that are required and missing.
 *
 * What differs from v0.12.5 of the NRI module: a sysctl that a plugin has only removed counts as adjusted.
 */
export function validateByDefault(
  rules: ValidatorRules,
  request: ValidateContainerAdjustmentRequest,
): void {
  const owners = request.owners?.owners[request.container?.id ?? ""];
  if (request.adjust !== null && owners !== undefined) {
    checkHooks(rules, owners);
    checkSeccomp(rules, request, owners);
    checkNamespaces(rules, owners);
  }
  const missing = missingPlugins(rules, request);
  if (missing.length > 0) {
    const plural = missing.length > 1 ? "s" : "";
    throw rejected(`required plugin${plural} ${JSON.stringify(missing.join(","))} not present`);
  }
  if (request.adjust !== null && owners !== undefined) checkSysctls(rules, owners);
}

function checkHooks(rules: ValidatorRules, owners: FieldOwners): void {
  const owner = simpleOwner(owners, "OciHooks");
  if (!rules.rejectOciHookAdjustment || owner === undefined) return;
  const plural = owner.includes(",") ? "s" : "";
  throw rejected(
    `plugin${plural} ${JSON.stringify(owner)} attempted restricted OCI hook injection`,
  );
}

/** Which rule counts is decided by the profile that the container has without plugins; none is as good as unconfined. */
function checkSeccomp(
  rules: ValidatorRules,
  { container }: ValidateContainerAdjustmentRequest,
  owners: FieldOwners,
): void {
  const owner = simpleOwner(owners, "SeccompPolicy");
  if (owner === undefined) return;
  const type = container?.linux?.seccompProfile?.profileType ?? "UNCONFINED";
  const [isRejected, what] = {
    UNCONFINED: [rules.rejectUnconfinedSeccompAdjustment, "unconfined"] as const,
    RUNTIME_DEFAULT: [rules.rejectRuntimeDefaultSeccompAdjustment, "runtime default"] as const,
    LOCALHOST: [rules.rejectCustomSeccompAdjustment, "custom"] as const,
  }[type];
  if (!isRejected) return;
  throw rejected(
    `plugin ${JSON.stringify(owner)} attempted restricted ${what} seccomp policy adjustment`,
  );
}

function checkNamespaces(rules: ValidatorRules, owners: FieldOwners): void {
  const found = keyOwners(owners, "Namespace");
  if (!rules.rejectNamespaceAdjustment || found.length === 0) return;
  const offenders = found.map(([type, plugin]) => `"${plugin}" (namespace "${type}")`);
  throw rejected(`attempted restricted namespace adjustment by plugin(s) ${offenders.join(", ")}`);
}

function checkSysctls(rules: ValidatorRules, owners: FieldOwners): void {
  const found = keyOwners(owners, "Sysctl");
  if (!rules.rejectSysctlAdjustment || found.length === 0) return;
  const offenders = [...new Set(found.map(([, plugin]) => JSON.stringify(plugin)))];
  throw rejected(`attempted restricted sysctl adjustment by plugin(s) ${offenders.join(", ")}`);
}

function simpleOwner({ simple }: FieldOwners, field: FieldName): string | undefined {
  return simple[String(fieldNumbers[field])];
}

/** The field's keys with who has set or removed them. */
function keyOwners({ compound }: FieldOwners, field: FieldName): [string, string][] {
  const { owners } = compound[String(fieldNumbers[field])] ?? { owners: {} };
  return Object.entries(owners).map(([key, plugin]) => [key, plugin.replace(/^-/, "")]);
}

function rejected(reason: string): Error {
  return fault("FAILED_PRECONDITION", `validation error: ${shortened(reason, longestReason)}`);
}
