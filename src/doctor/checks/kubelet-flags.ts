// SPDX-License-Identifier: Apache-2.0
import { shellWord } from "../../base/shell-word.ts";
import { gatesOf, type KubeletFacts } from "../facts/kubelet.ts";
import { flagsGone, gatesGone, gatesLocked } from "../facts/kubelet-history.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, note, warning } from "../finding.ts";

/** Flags and feature gates that this kubelet, or the next one, does not know. */
export function flagFindings(facts: KubeletFacts): Finding[] {
  return [...goneFlags(facts), ...refusedByName(facts), ...gates(facts)];
}

function goneFlags(facts: KubeletFacts): Finding[] {
  const { minor } = facts;
  const given = givenFlags(facts);
  // Of a kubelet that tells no version, its own last words tell.
  const refused = refusedFlag(facts);
  return flagsGone
    .filter(({ flag, gone }) => given.includes(flag) && (minor === undefined || minor + 1 >= gone))
    .map(({ flag, gone }) => {
      const isGone = flag === refused || (minor !== undefined && minor >= gone);
      const trouble = {
        what: `the kubelet is given --${flag}, which went with Kubernetes 1.${gone}`,
        why: isGone ? "it does not start" : `it will not start once it is 1.${gone}`,
        mend: withoutFlag(flag, facts),
      };
      return isGone ? error(trouble) : warning(trouble);
    });
}

/** What no list tells: the kubelet itself has named it when it ended. */
function refusedByName(facts: KubeletFacts): Finding[] {
  const why = "it does not start";
  const flag = refusedFlag(facts);
  const gate = /unrecognized feature gate: (\w+)/.exec(facts.lastWords)?.[1] ?? "";
  const found: Finding[] = [];
  if (
    flag !== "" &&
    givenFlags(facts).includes(flag) &&
    !flagsGone.some((one) => one.flag === flag)
  ) {
    const what = `the kubelet is given --${flag}, which it does not know`;
    found.push(error({ what, why, mend: withoutFlag(flag, facts) }));
  }
  if (gatesOf(facts).has(gate) && gatesGone[gate] === undefined) {
    const what = `the kubelet's feature gate ${gate} is none that it knows`;
    found.push(error({ what, why, mend: withoutGate(gate, facts) }));
  }
  return found;
}

function refusedFlag({ lastWords }: KubeletFacts): string {
  return /unknown (?:shorthand )?flag: .*?--([a-z0-9-]+)/.exec(lastWords)?.[1] ?? "";
}

function gates(facts: KubeletFacts): Finding[] {
  const { minor } = facts;
  const found: Finding[] = [];
  for (const [gate, isOn] of gatesOf(facts)) {
    const gone = gatesGone[gate];
    const locked = gatesLocked[gate];
    const mend = withoutGate(gate, facts);
    if (gone !== undefined && (minor === undefined || minor + 1 >= gone)) {
      const isGone = minor !== undefined && minor >= gone;
      const what = `the kubelet's feature gate ${gate} went with Kubernetes 1.${gone}`;
      const why = isGone ? "the kubelet does not start" : `it will not start once it is 1.${gone}`;
      found.push((isGone ? error : warning)({ what, why, mend }));
    } else if (!isOn && locked !== undefined && minor !== undefined && minor >= locked) {
      const what = `the kubelet's feature gate ${gate} is set to false, and is locked to true since 1.${locked}`;
      found.push(error({ what, why: "the kubelet does not start", mend }));
    } else if (isOn && gate === "EventedPLEG") {
      const what = "the kubelet's feature gate EventedPLEG is on";
      const why = "it has never become stable; kubelets with it miss changes of pods";
      found.push(note({ what, why, mend }));
    }
  }
  return found;
}

function givenFlags({ flags }: KubeletFacts): string[] {
  return flags.map((word) => /^--([a-z0-9-]+)/.exec(word)?.[1] ?? "");
}

function withoutFlag(flag: string, facts: KubeletFacts): string {
  return inFlags(`s#--${flag}(=[^ "]*| +[^- "][^ "]*)?([ "]|$)#\\2#`, `--${flag}`, facts);
}

/** A flag's gates win over the file's. */
function withoutGate(gate: string, facts: KubeletFacts): string {
  const isFlag = flagOf(facts.flags, "feature-gates")?.includes(`${gate}=`) === true;
  return isFlag || facts.file === undefined
    ? inFlags(`s#\\b${gate}=(true|false),?##`, `${gate}=`, facts)
    : `sed -i -E 's/\\b${gate}: *(true|false),? *//' ${shellWord(facts.file)} && systemctl restart kubelet`;
}

/** Changes flags in the files that hold such a text, or wherever kubeadm and packages keep them. */
export function inFlags(script: string, text: string, { flagFiles }: KubeletFacts): string {
  const holding = flagFiles.filter((one) => one.text.includes(text)).map(({ file }) => file);
  const usual = "/var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet /etc/sysconfig/kubelet";
  const change =
    holding.length > 0
      ? `sed -i -E '${script}' ${holding.map(shellWord).join(" ")}`
      : `for file in ${usual}; do [ ! -e "$file" ] || sed -i -E '${script}' "$file"; done`;
  const isUnit = holding.some((file) => /\.(service|conf)$/.test(file));
  return `${change}; ${isUnit ? "systemctl daemon-reload; " : ""}systemctl restart kubelet`;
}
