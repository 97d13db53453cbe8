// SPDX-License-Identifier: Apache-2.0
import type { OciSeccomp, OciSeccompRule } from "../../../oci/spec.ts";
import { argsOf, both, type Conditions, conditionsOf, NoFilterForm, not } from "./conditions.ts";

/** What a filter does with a call. */
interface Verdict {
  readonly action: string;
  readonly errnoRet?: number;
}

interface Rule extends Verdict {
  readonly when: Conditions;
}

/** The rules of one call: conditional ones, or one that holds always, as libseccomp prefers it. */
interface Calls {
  readonly always: Verdict | undefined;
  readonly rules: readonly Rule[];
}

/** From the strictest to the most lenient, as the kernel ranks the verdicts of several filters. */
const ranks = [
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_KILL",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_NOTIFY",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_LOG",
  "SCMP_ACT_ALLOW",
];
/** Those that end in the call not being made. */
const denials = new Set(ranks.slice(0, ranks.indexOf("SCMP_ACT_NOTIFY")));
/** Gives the process more than it would have, so both must ask for it. */
const lenientFlag = "SECCOMP_FILTER_FLAG_SPEC_ALLOW";
/** What the kernel would take is about as much. */
const maxRules = 8192;
/** Conditions made on the way to a filter: a registry says of what. */
const maxForms = 32_768;

/**
 * One filter for two profiles: it lets through what both let through, and nothing else. The listener of calls that are
 * notified is the base's. Throws an Error that names the system call when two conditions on it have no common form, or
 * when there would be too many rules.
 */
export function intersectProfiles(
  profile: OciSeccomp,
  base: OciSeccomp,
  nativeArchitecture: string,
): OciSeccomp {
  const [ours, theirs] = [callsOf(profile), callsOf(base)];
  const [ownDefault, baseDefault] = [defaultOf(profile), defaultOf(base)];
  const otherwise = stricter(ownDefault, baseDefault);
  const native = [nativeArchitecture];
  const architectures = (profile.architectures ?? native).filter((name) =>
    (base.architectures ?? native).includes(name),
  );
  if (architectures.length === 0) throw new Error("it is for no architecture of its base");
  const combine = combiner(maxForms);
  const syscalls: OciSeccompRule[] = [];
  const always = new Map<string, OciSeccompRule>();
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) {
    for (const rule of rulesFor(name, {
      one: { ...(ours.get(name) ?? absent), otherwise: ownDefault },
      other: { ...(theirs.get(name) ?? absent), otherwise: baseDefault },
      isDenied: isDenial(otherwise),
      combine,
    })) {
      const { when, ...verdict } = rule;
      if (when.size === 0) {
        gather(always, name, verdict);
      } else {
        syscalls.push({ names: [name], ...verdict, args: argsOf(when) });
      }
      if (syscalls.length > maxRules) throw new Error(`it takes more than ${maxRules} rules`);
    }
  }
  const flags = [...new Set([...(profile.flags ?? []), ...(base.flags ?? [])])].filter(
    (flag) =>
      flag !== lenientFlag ||
      [profile, base].every((one) => one.flags?.includes(lenientFlag) === true),
  );
  return {
    defaultAction: otherwise.action,
    ...(otherwise.errnoRet !== undefined && { defaultErrnoRet: otherwise.errnoRet }),
    architectures,
    ...(flags.length > 0 && { flags }),
    ...(base.listenerPath !== undefined && { listenerPath: base.listenerPath }),
    ...(base.listenerMetadata !== undefined && { listenerMetadata: base.listenerMetadata }),
    syscalls: [...always.values(), ...syscalls],
  };
}

const absent: Calls = { always: undefined, rules: [] };

interface Side extends Calls {
  /** When no rule holds. */
  readonly otherwise: Verdict;
}

interface Sides {
  readonly one: Side;
  readonly other: Side;
  /** Whether a call that no rule of the result meets is denied. */
  readonly isDenied: boolean;
  readonly combine: typeof both;
}

/** `both`, as often as one filter may need it. */
function combiner(limit: number): typeof both {
  let left = limit;
  return (one, other) => {
    const forms = both(one, other);
    left -= Math.max(1, forms.length);
    if (left < 0) throw new NoFilterForm("they have too many forms");
    return forms;
  };
}

function rulesFor(name: string, { one, other, isDenied, combine }: Sides): Rule[] {
  return naming(name, () => {
    const rules = isDenied
      ? [...permits(one, other, combine), ...refusals(one), ...refusals(other)]
      : [...all(one), ...all(other)];
    return strictestAlways(rules);
  });
}

/** What cannot be said in a filter is told of the system call that it is about. */
function naming<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof NoFilterForm)) throw error;
    throw new Error(`conditions on "${name}" cannot be combined: ${error.message}`, {
      cause: error,
    });
  }
}

/** What both let through, where the default lets nothing through. */
function permits(one: Side, other: Side, combine: typeof both): Rule[] {
  const [left, right] = [permitted(one, combine), permitted(other, combine)];
  return left.flatMap((a) =>
    right.flatMap((b) =>
      combine(a.when, b.when).map((when) => ({ ...withoutConditions(stricter(a, b)), when })),
    ),
  );
}

/** When a profile lets a call through, as conditions of which one is enough. */
function permitted({ always, rules, otherwise }: Side, combine: typeof both): Rule[] {
  if (always !== undefined) return isDenial(always) ? [] : [{ ...always, when: new Map() }];
  // What none of its refusals meets: which of two rules goes before would be libseccomp's to say.
  let rest: Conditions[] = [new Map()];
  for (const { when } of rules.filter(isDenial)) {
    const opposite = not(when);
    rest = rest.flatMap((left) => opposite.flatMap((right) => combine(left, right)));
  }
  const special = rules.filter(
    (rule) => !isDenial(rule) && (isDenial(otherwise) || rule.action !== "SCMP_ACT_ALLOW"),
  );
  const permits = special.flatMap((rule) =>
    rest.flatMap((one) => combine(rule.when, one)).map((when) => ({ ...rule, when })),
  );
  if (isDenial(otherwise)) return permits;
  return [...rest.map((when) => ({ ...withoutConditions(otherwise), when })), ...permits];
}

/** Refusals by a rule: they may have another form than the default's. */
function refusals({ always, rules }: Side): Rule[] {
  if (always !== undefined) return isDenial(always) ? [{ ...always, when: new Map() }] : [];
  return rules.filter(isDenial);
}

function all({ always, rules }: Side): Rule[] {
  const every = always === undefined ? rules : [{ ...always, when: new Map() }];
  return every.filter(({ action }) => action !== "SCMP_ACT_ALLOW");
}

/** Where a rule holds always, libseccomp takes no other: the strictest of those. */
function strictestAlways(rules: Rule[]): Rule[] {
  const always = rules.filter(({ when }) => when.size === 0);
  const [first, ...more] = always;
  if (first === undefined) return rules;
  const strictest = more.reduce<Rule>((a, b) => stricter(a, b), first);
  // One that lets the call through must not hide the conditional refusals beside it.
  const refused = rules.filter((rule) => rule.when.size > 0 && isDenial(rule));
  if (!isDenial(strictest) && refused.length > 0) {
    throw new NoFilterForm("one lets it through always, another refuses it under conditions");
  }
  return [strictest];
}

function callsOf({ syscalls = [] }: OciSeccomp): Map<string, Calls> {
  const calls = new Map<string, { always: Verdict | undefined; rules: Rule[] }>();
  let count = 0;
  for (const { names, action, errnoRet, args = [] } of syscalls) {
    if (!ranks.includes(action)) throw new Error(`action "${action}" is not known`);
    const verdict = { action, ...(errnoRet !== undefined && { errnoRet }) };
    for (const name of names) {
      const call = calls.get(name) ?? { always: undefined, rules: [] };
      calls.set(name, call);
      if (args.length === 0) call.always ??= verdict;
      else {
        const conditions = naming(name, () => conditionsOf(args));
        for (const when of conditions) call.rules.push({ ...verdict, when });
        count += conditions.length;
      }
      count += 1;
      if (count > maxRules) {
        throw new Error(`it has more than ${maxRules} rules`);
      }
    }
  }
  return calls;
}

function defaultOf({ defaultAction, defaultErrnoRet }: OciSeccomp): Verdict {
  if (!ranks.includes(defaultAction)) throw new Error(`action "${defaultAction}" is not known`);
  return {
    action: defaultAction,
    ...(defaultErrnoRet !== undefined && { errnoRet: defaultErrnoRet }),
  };
}

function isDenial({ action }: Verdict): boolean {
  return denials.has(action);
}

function stricter<V extends Verdict>(one: V, other: V): V {
  return ranks.indexOf(other.action) < ranks.indexOf(one.action) ? other : one;
}

function withoutConditions({ action, errnoRet }: Verdict): Verdict {
  return { action, ...(errnoRet !== undefined && { errnoRet }) };
}

function gather(into: Map<string, OciSeccompRule>, name: string, verdict: Verdict): void {
  const key = JSON.stringify(verdict);
  const rule = into.get(key) ?? { names: [], ...verdict };
  rule.names.push(name);
  into.set(key, rule);
}
