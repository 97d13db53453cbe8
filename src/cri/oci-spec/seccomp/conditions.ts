// SPDX-License-Identifier: Apache-2.0
import type { OciSeccompArg } from "../../../oci/spec.ts";

/** What must hold of a call's arguments, by their index: one test each, all of which hold. Empty holds always. */
export type Conditions = ReadonlyMap<number, ArgumentTest>;

/** Values from `from` to `to`, both included, or those that have `value` in the bits of `mask`. */
export type ArgumentTest =
  | { readonly kind: "range"; readonly from: bigint; readonly to: bigint }
  | { readonly kind: "masked"; readonly mask: bigint; readonly value: bigint };

/** The largest argument: the kernel compares 64 bits, without sign. */
const most = 2n ** 64n - 1n;
/** How many values may be tested one by one, where no single comparison says the same. */
const fewValues = 64n;

/** How many rules one pair of conditions may become. */
const mostForms = 512;

/** Two sets of conditions have no form that a filter can have. */
export class NoFilterForm extends Error {}

/**
 * The conditions of a rule; several, of which one is enough, where it says so. As runc has it: when an argument is
 * tested twice, each of a rule's tests stands for itself.
 */
export function conditionsOf(args: readonly OciSeccompArg[]): Conditions[] {
  const tests = args.map((arg) => ({ index: arg.index, parts: testsOf(arg) }));
  const isTwice = new Set(tests.map(({ index }) => index)).size < tests.length;
  if (isTwice) {
    return tests.flatMap(({ index, parts }) => parts.map((part) => new Map([[index, part]])));
  }
  return combinations(new Map(), tests);
}

/** Conditions as a rule has them. */
export function argsOf(conditions: Conditions): OciSeccompArg[] {
  return [...conditions].map(([index, test]) => {
    if (test.kind === "masked") {
      return { index, value: test.mask, valueTwo: test.value, op: "SCMP_CMP_MASKED_EQ" };
    }
    const { from, to } = test;
    if (from === to) return { index, value: from, op: "SCMP_CMP_EQ" };
    if (from === 0n) return { index, value: to, op: "SCMP_CMP_LE" };
    return { index, value: from, op: "SCMP_CMP_GE" };
  });
}

/** Both: a list of which one is enough, none when they exclude each other. */
export function both(one: Conditions, other: Conditions): Conditions[] {
  const met = [...other].map(([index, test]) => {
    const present = one.get(index);
    return { index, parts: present === undefined ? [test] : meet(present, test) };
  });
  if (met.reduce((count, { parts }) => count * parts.length, 1) > mostForms) {
    throw new NoFilterForm("they have too many forms");
  }
  return combinations(one, met);
}

/** `begun` with one part of each test. */
function combinations(
  begun: Conditions,
  tests: readonly { readonly index: number; readonly parts: readonly ArgumentTest[] }[],
): Conditions[] {
  let all = [begun];
  for (const { index, parts } of tests) {
    all = all.flatMap((one) => parts.map((part) => new Map([...one, [index, part]])));
  }
  return all;
}

/** The opposite: a list of which one is enough. */
export function not(conditions: Conditions): Conditions[] {
  return [...conditions].flatMap(([index, test]) => {
    if (test.kind === "masked") {
      const bits = bitCount(test.mask);
      // A mask of one bit has one other value; of more, too many to tell.
      if (bits !== 1) throw new NoFilterForm("a masked comparison has no opposite");
      const value = test.value === 0n ? test.mask : 0n;
      return [new Map([[index, { ...test, value }]])];
    }
    return gaps(test).map((part) => new Map([[index, part]]));
  });
}

function testsOf({ op, value, valueTwo }: OciSeccompArg): ArgumentTest[] {
  const [first, second] = [BigInt(value), BigInt(valueTwo ?? 0)];
  if (first > most || second > most) throw new NoFilterForm("an argument has 64 bits");
  if (op === "SCMP_CMP_MASKED_EQ") {
    if (first === 0n) return second === 0n ? [range(0n, most)] : [];
    if ((second & ~first) !== 0n) return [];
    return [{ kind: "masked", mask: first, value: second }];
  }
  const below = first > 0n ? [range(0n, first - 1n)] : [];
  const above = first < most ? [range(first + 1n, most)] : [];
  switch (op) {
    case "SCMP_CMP_EQ":
      return [range(first, first)];
    case "SCMP_CMP_NE":
      return [...below, ...above];
    case "SCMP_CMP_LT":
      return below;
    case "SCMP_CMP_LE":
      return [range(0n, first)];
    case "SCMP_CMP_GE":
      return [range(first, most)];
    case "SCMP_CMP_GT":
      return above;
    default:
      throw new NoFilterForm(`comparison "${op}" is not known`);
  }
}

function meet(one: ArgumentTest, other: ArgumentTest): ArgumentTest[] {
  if (one.kind === "masked" && other.kind === "masked") {
    if (((one.value ^ other.value) & one.mask & other.mask) !== 0n) return [];
    return [{ kind: "masked", mask: one.mask | other.mask, value: one.value | other.value }];
  }
  if (one.kind === "range" && other.kind === "range") {
    const from = one.from > other.from ? one.from : other.from;
    const to = one.to < other.to ? one.to : other.to;
    if (from > to) return [];
    return from === 0n || to === most ? [range(from, to)] : valuesOf(from, to);
  }
  const [within, masked] = one.kind === "range" ? [one, other] : [other, one];
  if (within.kind !== "range" || masked.kind !== "masked") return [];
  if (within.from === 0n && within.to === most) return [masked];
  return valuesOf(within.from, within.to).filter(
    ({ from }) => (from & masked.mask) === masked.value,
  );
}

/** Each value of a range by itself: a filter's rule tests an argument once. */
function valuesOf(from: bigint, to: bigint): (ArgumentTest & { readonly kind: "range" })[] {
  if (to - from >= fewValues) {
    throw new NoFilterForm(`values from ${from} to ${to} have no one comparison`);
  }
  return Array.from({ length: Number(to - from) + 1 }, (_, at) => {
    const value = from + BigInt(at);
    return range(value, value);
  });
}

function gaps({ from, to }: ArgumentTest & { readonly kind: "range" }): ArgumentTest[] {
  return [
    ...(from > 0n ? [range(0n, from - 1n)] : []),
    ...(to < most ? [range(to + 1n, most)] : []),
  ];
}

function range(from: bigint, to: bigint): ArgumentTest & { readonly kind: "range" } {
  return { kind: "range", from, to };
}

function bitCount(mask: bigint): number {
  return mask.toString(2).replaceAll("0", "").length;
}
