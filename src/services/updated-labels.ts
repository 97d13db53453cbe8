// SPDX-License-Identifier: Apache-2.0
import { checkLabels, checkMask, maskedMap } from "../rpc/field-mask.ts";

type Labels = Readonly<Record<string, string>>;

/**
 * The labels of an object after an update. Nothing but labels may be in the mask; without a mask all
 * of them are replaced. One that is set to nothing goes.
 */
export function updatedLabels(
  what: string,
  mask: readonly string[],
  before: Labels,
  update: Labels,
): Labels {
  checkMask(what, mask, [], ["labels"]);
  const paths = mask.length === 0 ? ["labels"] : mask;
  return checkedLabels(what, maskedMap("labels", paths, before, update) ?? before);
}

/** The labels without the empty ones. INVALID_ARGUMENT for one that is too long. */
export function checkedLabels(what: string, labels: Labels): Labels {
  const kept = Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
  checkLabels(what, kept);
  return kept;
}
