// SPDX-License-Identifier: Apache-2.0

/** A transient scope of systemd's, and the slice that it is in. */
export interface ScopeName {
  readonly unit: string;
  readonly slice: string;
}

const slicePattern = /^(?:-|[\w.\\]+(?:-[\w.\\]+)*)\.slice$/;
const partPattern = /^[\w.\\@-]*$/;
/** systemd's, of any unit. */
const longestName = 255;

/**
 * The scope that a cgroupsPath in systemd's form, `slice:prefix:name`, stands for, as OCI runtimes name it. An empty slice
 * is system.slice. Undefined for a path, for a name that ends in `.slice`, which is no scope, and for what systemd
 * would refuse.
 */
export function scopeName(cgroupsPath: string): ScopeName | undefined {
  const [slice, prefix, name, ...more] = cgroupsPath.split(":");
  if (slice === undefined || prefix === undefined || name === undefined || more.length > 0)
    return undefined;
  if (slice !== "" && !slicePattern.test(slice)) return undefined;
  if (!partPattern.test(prefix) || !partPattern.test(name) || prefix === "" || name === "")
    return undefined;
  const unit = `${prefix}-${name}.scope`;
  if (name.endsWith(".slice") || unit.length > longestName || slice.length > longestName)
    return undefined;
  return { unit, slice: slice === "" ? "system.slice" : slice };
}
