// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from "../../../oci/spec.ts";
import { defaultSeccompProfile } from "./default-profile.ts";
import { intersectProfiles } from "./intersect-profiles.ts";

const native = "SCMP_ARCH_X86_64";
const allow = "SCMP_ACT_ALLOW";
const refuse = "SCMP_ACT_ERRNO";

/** Whether a filter lets a call through: an unconditional rule hides the others, and a refusal goes before. */
function isPermitted(profile: OciSeccomp, name: string, args: readonly bigint[]): boolean {
  const rules = (profile.syscalls ?? []).filter(({ names }) => names.includes(name));
  const always = rules.find((rule) => (rule.args ?? []).length === 0);
  if (always) return always.action === allow;
  const met = rules.filter(({ args: tests = [] }) => tests.every((one) => meets(one, args)));
  if (met.some(({ action }) => action !== allow)) return false;
  return met.length > 0 || profile.defaultAction === allow;
}

function meets({ index, op, value, valueTwo }: OciSeccompArg, args: readonly bigint[]): boolean {
  const arg = args[index] ?? 0n;
  const [first, second] = [BigInt(value), BigInt(valueTwo ?? 0)];
  const outcomes: Record<string, boolean> = {
    SCMP_CMP_EQ: arg === first,
    SCMP_CMP_NE: arg !== first,
    SCMP_CMP_LT: arg < first,
    SCMP_CMP_LE: arg <= first,
    SCMP_CMP_GE: arg >= first,
    SCMP_CMP_GT: arg > first,
    SCMP_CMP_MASKED_EQ: (arg & first) === second,
  };
  const outcome = outcomes[op];
  assert.notEqual(outcome, undefined, op);
  return outcome === true;
}

const small = fc.integer({ min: 0, max: 6 });
const argument = fc.record({
  index: fc.constantFrom(0, 1),
  value: small,
  valueTwo: small,
  op: fc.constantFrom(
    ...["EQ", "NE", "LT", "LE", "GE", "GT", "MASKED_EQ"].map((op) => `SCMP_CMP_${op}`),
  ),
});
const rule: fc.Arbitrary<OciSeccompRule> = fc.record({
  names: fc.constantFrom(["a"], ["b"], ["a", "b"]),
  action: fc.constantFrom(allow, refuse),
  args: fc.uniqueArray(argument, { maxLength: 2, selector: ({ index }) => index }),
});
const profile: fc.Arbitrary<OciSeccomp> = fc.record({
  defaultAction: fc.constantFrom(allow, refuse),
  syscalls: fc.array(rule, { maxLength: 3 }),
});

test("what both profiles let through is let through, and nothing else", () => {
  let combined = 0;
  fc.assert(
    fc.property(profile, profile, (one, other) => {
      let result: OciSeccomp;
      try {
        result = intersectProfiles(one, other, native);
      } catch (error) {
        assert.match(String(error), /conditions on "[ab]" cannot be combined/);
        return;
      }
      combined += 1;
      for (const { args = [] } of result.syscalls ?? []) {
        assert.equal(new Set(args.map(({ index }) => index)).size, args.length);
      }
      for (const name of ["a", "b", "c"]) {
        for (let value = 0n; value < 64n; value += 1n) {
          const args = [value / 8n, value % 8n];
          assert.equal(
            isPermitted(result, name, args),
            isPermitted(one, name, args) && isPermitted(other, name, args),
            `${name}(${args.join(", ")})`,
          );
        }
      }
    }),
    { numRuns: 300, seed: 1 },
  );
  assert.ok(combined > 200, `${combined} of 300 were combined`);
});

test("a profile of refusals takes them from the default one, arguments and all", () => {
  const base = defaultSeccompProfile([], "amd64");
  const of = (...syscalls: OciSeccompRule[]): OciSeccomp =>
    intersectProfiles({ defaultAction: allow, syscalls }, base, native);
  const noAfPacket: OciSeccompArg = { index: 0, value: 17, op: "SCMP_CMP_EQ" };
  const result = of(
    { names: ["chmod"], action: refuse, errnoRet: 13 },
    { names: ["socket"], action: refuse, args: [noAfPacket] },
  );
  const rows: [name: string, args: bigint[], isThere: boolean][] = [
    ["read", [], true],
    ["chmod", [], false],
    ["mount", [], false],
    ["socket", [2n], true],
    ["socket", [17n], false],
    ["socket", [38n], false],
    ["socket", [41n], true],
    ["personality", [8n], true],
    ["personality", [9n], false],
    ["clone", [0x10000000n], false],
    ["clone", [0x100n], true],
  ];
  for (const [name, args, isThere] of rows) {
    assert.equal(isPermitted(result, name, args), isThere, `${name}(${args.join()})`);
  }
  assert.equal(result.defaultAction, refuse);
  const chmod = result.syscalls?.find(({ names }) => names.includes("chmod"));
  assert.deepEqual([chmod?.action, chmod?.errnoRet], [refuse, 13]);
  const clone3 = result.syscalls?.find(({ names }) => names.includes("clone3"));
  assert.equal(clone3?.errnoRet, 38);
});

test("the default profile with itself is itself, in other words", () => {
  const base = defaultSeccompProfile(["CAP_SYS_ADMIN"], "amd64");
  const result = intersectProfiles(base, base, native);
  assert.deepEqual(result.architectures, base.architectures);
  for (const name of new Set(base.syscalls?.flatMap(({ names }) => names))) {
    for (const value of [0n, 8n, 38n, 39n, 0x10000000n]) {
      assert.equal(isPermitted(result, name, [value]), isPermitted(base, name, [value]), name);
    }
  }
});

const other = { defaultAction: refuse };
const rows: { name: string; one: OciSeccomp; base?: OciSeccomp; message: RegExp }[] = [
  {
    name: "no architecture in common",
    one: { ...other, architectures: ["SCMP_ARCH_ARM"] },
    message: /for no architecture/,
  },
  { name: "an action that is none", one: { defaultAction: "SCMP_ACT_MAYBE" }, message: /MAYBE/ },
  {
    name: "a comparison that is none",
    one: {
      ...other,
      syscalls: [{ names: ["a"], action: allow, args: [{ index: 0, value: 1, op: "SCMP_CMP_X" }] }],
    },
    message: /"SCMP_CMP_X" is not known/,
  },
  {
    name: "a value that is too long",
    one: {
      ...other,
      syscalls: [
        { names: ["a"], action: allow, args: [{ index: 0, value: 2n ** 64n, op: "SCMP_CMP_LT" }] },
      ],
    },
    message: /an argument has 64 bits/,
  },
  {
    name: "too many rules",
    one: {
      ...other,
      syscalls: Array.from({ length: 8193 }, () => ({ names: ["a"], action: allow })),
    },
    message: /more than 8192/,
  },
  {
    name: "too many conditions, on few calls each",
    one: {
      defaultAction: allow,
      syscalls: [
        {
          names: Array.from({ length: 300 }, (_, at) => `call${at}`),
          action: refuse,
          args: Array.from({ length: 300 }, (_, at) => ({
            index: 0,
            value: BigInt(at),
            op: "SCMP_CMP_EQ",
          })),
        },
      ],
    },
    message: /it has more than 8192 rules/,
  },
  {
    name: "refusals of one call whose opposites multiply, then many more",
    one: {
      defaultAction: allow,
      syscalls: Array.from({ length: 40 }, (_, at) => ({
        names: ["read"],
        action: refuse,
        args: [0, 1].map((index) => {
          const bit = 2n ** BigInt(Math.min(at, 11));
          return { index, value: bit, valueTwo: bit, op: "SCMP_CMP_MASKED_EQ" };
        }),
      })),
    },
    message: /conditions on "read" cannot be combined: they have too many forms/,
  },
  {
    name: "conditions of too many forms",
    one: { ...other, syscalls: [{ names: ["a"], action: allow, args: sixOf("SCMP_CMP_LE", 60) }] },
    base: { ...other, syscalls: [{ names: ["a"], action: allow, args: sixOf("SCMP_CMP_GE", 1) }] },
    message: /conditions on "a" cannot be combined: they have too many forms/,
  },
];
for (const { name, one, base = other, message } of rows) {
  test(`profiles are not combined: ${name}`, () => {
    assert.throws(() => intersectProfiles(one, base, native), { message });
  });
}

function sixOf(op: string, value: number): OciSeccompArg[] {
  return Array.from({ length: 6 }, (_, index) => ({ index, value, op }));
}
