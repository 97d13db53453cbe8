// SPDX-License-Identifier: Apache-2.0
import type { Check } from "../check.ts";
import { gatesOf, type KubeletFacts, settingOf } from "../facts/kubelet.ts";
import { flagsGone, gatesGone, gatesLocked } from "../facts/kubelet-history.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

export const kubelet: Check = {
  name: "kubelet",
  about: "the kubelet's settings: endpoint, flags, feature gates",
  run: async (patient) => {
    const facts = await patient.kubelet();
    if (facts === undefined) return [ok("there is no kubelet on this node")];
    const found = [
      ...(facts.pid === undefined ? [stopped()] : []),
      ...facts.problems.map(unreadable),
      ...endpointOf(patient, facts),
      ...flagsOf(facts),
      ...gatesFindings(facts),
    ];
    const version = facts.minor === undefined ? "" : ` 1.${facts.minor}`;
    return found.length > 0 ? found : [ok(`the kubelet${version} uses ${patient.socket}`)];
  },
};

function stopped(): Finding {
  const why = "no pods are started on this node; what follows is said of its files";
  return warning({
    what: "the kubelet does not run",
    why,
    mend: "systemctl start kubelet; journalctl -u kubelet -n 50",
  });
}

function unreadable(what: string): Finding {
  const why = "the kubelet does not start with it";
  return error({
    what: `kubelet's configuration: ${what}`,
    why,
    mend: "journalctl -u kubelet -n 20",
  });
}

function endpointOf({ config, socket }: Patient, facts: KubeletFacts): Finding[] {
  const ours = new Set([socket, ...config.grpc.also].map(canonical));
  const key = "containerRuntimeEndpoint";
  const endpoint = settingOf(facts, "container-runtime-endpoint", key);
  const file = facts.file ?? "/var/lib/kubelet/config.yaml";
  const flag = "container-runtime-endpoint";
  // A flag wins over the file.
  const set =
    flagOf(facts.flags, flag) === undefined
      ? `sed -i '/^${key}:/d' ${file} && echo '${key}: unix://${socket}' >>${file} && systemctl restart kubelet`
      : inFlags(`s#(--${flag}[= ])[^ "]*#\\1unix://${socket}#`);
  const found: Finding[] = [];
  if (endpoint === undefined) {
    const why = "it looks for containerd, at /run/containerd/containerd.sock";
    if (!ours.has("/run/containerd/containerd.sock"))
      found.push(warning({ what: `the kubelet has no ${key}`, why, mend: set }));
  } else if (!ours.has(canonical(endpoint))) {
    const why = "its pods are another runtime's, and berthd has none of them";
    found.push(
      warning({ what: `the kubelet's ${key} is ${endpoint}, and not ${socket}`, why, mend: set }),
    );
  } else if (!endpoint.startsWith("unix://")) {
    const why = "an endpoint without a scheme is deprecated; some versions refuse it";
    found.push(
      warning({ what: `the kubelet's ${key} is ${endpoint}, without unix://`, why, mend: set }),
    );
  }
  const images = settingOf(facts, "image-service-endpoint", "imageServiceEndpoint");
  if (images !== undefined && !ours.has(canonical(images))) {
    const what = `the kubelet's imageServiceEndpoint is ${images}, and not ${socket}`;
    const why =
      "images are pulled by another runtime than the one that starts pods: no container can be created";
    const flag = "image-service-endpoint";
    const mend =
      flagOf(facts.flags, flag) === undefined
        ? `sed -i '/^imageServiceEndpoint:/d' ${file} && systemctl restart kubelet`
        : inFlags(`s# ?--${flag}[= ][^ "]*##`);
    found.push(error({ what, why, mend }));
  }
  return found;
}

/** A flag's gates win over the file's. */
function withoutGate(gate: string, { flags, file }: KubeletFacts): string {
  const isFlag = flagOf(flags, "feature-gates")?.includes(`${gate}=`) === true;
  return isFlag || file === undefined
    ? inFlags(`s#\\b${gate}=(true|false),?##`)
    : `sed -i -E 's/\\b${gate}: *(true|false),? *//' ${file} && systemctl restart kubelet`;
}

/** Changes flags wherever kubeadm and packages keep them. */
function inFlags(script: string): string {
  const files = "/var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet /etc/sysconfig/kubelet";
  return `for file in ${files}; do [ ! -e "$file" ] || sed -i -E '${script}' "$file"; done; systemctl restart kubelet`;
}

/** The path, with /var/run as what it is. */
function canonical(endpoint: string): string {
  return endpoint.replace(/^unix:\/\//, "").replace(/^\/var\/run\//, "/run/");
}

function flagsOf({ flags, minor }: KubeletFacts): Finding[] {
  const given = flags.map((word) => /^--([a-z-]+)/.exec(word)?.[1] ?? "");
  return flagsGone
    .filter(({ flag, gone }) => given.includes(flag) && (minor === undefined || minor + 1 >= gone))
    .map(({ flag, gone }) => {
      const isGone = minor !== undefined && minor >= gone;
      const trouble = {
        what: `the kubelet is given --${flag}, which went with Kubernetes 1.${gone}`,
        why: isGone ? "it does not start" : `it will not start once it is 1.${gone}`,
        mend: "systemctl cat kubelet; vi /var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet",
      };
      return isGone ? error(trouble) : warning(trouble);
    });
}

function gatesFindings(facts: KubeletFacts): Finding[] {
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
