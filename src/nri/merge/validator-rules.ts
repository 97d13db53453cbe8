// SPDX-License-Identifier: Apache-2.0

/** What the built-in validator refuses; the administrator's `[nri.default_validator]`. */
export interface ValidatorRules {
  readonly rejectOciHookAdjustment: boolean;
  readonly rejectRuntimeDefaultSeccompAdjustment: boolean;
  readonly rejectUnconfinedSeccompAdjustment: boolean;
  readonly rejectCustomSeccompAdjustment: boolean;
  readonly rejectNamespaceAdjustment: boolean;
  readonly rejectSysctlAdjustment: boolean;
  readonly requiredPlugins: readonly string[];
  /** A pod's annotation that lets required plugins be missing; "" for none. */
  readonly tolerateMissingPluginsAnnotation: string;
}
