// SPDX-License-Identifier: Apache-2.0
import { shellWord } from "../../base/shell-word.ts";
import type { Check } from "../check.ts";
import { askingSince, driverOf, type KubeletFacts, usualFile } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";
import { inFlags } from "./kubelet-flags.ts";
import { setKey } from "./kubelet-key.ts";

const wanted = ["cpu", "memory", "pids"];
/** From this version on it does not start with cgroup v1 unless it is told to. */
const refusingV1Since = 35;

export const cgroups: Check = {
  name: "cgroups",
  about: "control groups, and the driver that kubelet and berthd use",
  needsConfig: true,
  run: async (patient) => {
    const facts = await patient.kubelet();
    // Of a file that cannot be read nobody knows what is in it.
    const kubelet = facts?.problems.length === 0 ? facts : undefined;
    const version = await versionOf(patient);
    return [
      ...version.findings,
      ...(version.is === 1 ? await refusedV1(patient.host, kubelet) : []),
      ...(await driverFindings(patient, kubelet)),
    ];
  },
};

async function versionOf({ host }: Patient): Promise<{ is: 1 | 2 | 0; findings: Finding[] }> {
  const unified = await host.value("/sys/fs/cgroup/cgroup.controllers");
  if (unified !== undefined) {
    const there = unified.split(/\s+/);
    const missing = wanted.filter((name) => !there.includes(name));
    return { is: 2, findings: [ok("cgroup v2"), ...lacking(missing)] };
  }
  const names = await host.names("/sys/fs/cgroup");
  const there = names.flatMap((name) => name.split(","));
  if (there.includes("memory") || there.includes("cpu")) {
    const missing = wanted.filter((name) => !there.includes(name));
    const old = note({
      what: "the node has cgroup v1",
      why: "Kubernetes gives it up: no memory QoS, no pressure figures, and kubelets refuse it unless told otherwise",
      mend: "boot with systemd.unified_cgroup_hierarchy=1",
    });
    return { is: 1, findings: [old, ...lacking(missing)] };
  }
  const why = "no pod can be limited, nor its processes found";
  const mend = "mount -t cgroup2 cgroup2 /sys/fs/cgroup";
  return { is: 0, findings: [error({ what: "no cgroups are mounted", why, mend })] };
}

function lacking(missing: readonly string[]): Finding[] {
  return missing.map((name) =>
    error({
      what: `the kernel gives no cgroup controller ${name}`,
      why: `pods' limits of ${name} cannot hold, and containers that have one are not made`,
      mend:
        name === "memory"
          ? "boot with cgroup_enable=memory"
          : `boot a kernel with the ${name} controller, and without cgroup_disable=${name}`,
    }),
  );
}

async function refusedV1(host: Host, kubelet: KubeletFacts | undefined): Promise<Finding[]> {
  if (kubelet === undefined || kubelet.settings["failCgroupV1"] === false) return [];
  if (kubelet.settings["failCgroupV1"] !== true && (kubelet.minor ?? 0) < refusingV1Since)
    return [];
  return [
    error({
      what: "the kubelet refuses cgroup v1",
      why: "failCgroupV1 is true, as it is by default since Kubernetes 1.35: it does not start on this node",
      mend: await setKey(host, kubelet, "failCgroupV1", "false"),
    }),
  ];
}

async function driverFindings(
  { config, configuration, host }: Patient,
  kubelet: KubeletFacts | undefined,
): Promise<Finding[]> {
  const { handlers, defaultHandler } = config.runtime;
  const found: Finding[] = [];
  const ours = handlers[defaultHandler || "runc"]?.systemdCgroup === true ? "systemd" : "cgroupfs";
  const others = Object.entries(handlers).filter(
    ([, { systemdCgroup }]) => systemdCgroup !== (ours === "systemd"),
  );
  for (const [name] of others) {
    found.push(
      warning({
        what: `handler ${name} has another cgroup driver than the default one, ${ours}`,
        why: "a pod's cgroup and those of its containers are then named in two ways, and its limits do not hold",
        mend: `set systemd_cgroup of [runtime.handlers.${name}] in ${configuration.file} to ${ours === "systemd"}`,
      }),
    );
  }
  if (ours === "systemd" && !(await host.has("/run/systemd/system"))) {
    found.push(
      error({
        what: "berthd has systemd make its cgroups, and systemd does not run here",
        why: "no pod can be started",
        mend: setDriver(configuration.file, false),
      }),
    );
  }
  if (kubelet === undefined) return [...found, ok(`berthd uses the cgroup driver ${ours}`)];
  const { driver: theirs, asks } = driverOf(kubelet);
  if (theirs === ours) return [...found, ok(`kubelet and berthd use the cgroup driver ${ours}`)];
  const what = `the kubelet is set to the cgroup driver ${theirs}, and berthd to ${ours}`;
  const isSystemd = theirs === "systemd";
  const mend =
    isSystemd && !(await host.has("/run/systemd/system"))
      ? setTheirs(kubelet)
      : setDriver(configuration.file, isSystemd);
  const trouble = asks
    ? {
        what,
        why: `this kubelet asks berthd and uses ${ours}, so pods run; a node of systemd's should have systemd's driver`,
        mend,
      }
    : {
        what,
        why: `a kubelet before 1.${askingSince} goes by its own setting: pods' cgroups are looked for in the wrong place, and their limits do not hold`,
        mend,
      };
  // One whose version cannot be told is hardly that old.
  const level = asks ? note : kubelet.minor === undefined ? warning : error;
  return [...found, level(trouble)];
}

/** A flag wins over the file. */
function setTheirs(kubelet: KubeletFacts): string {
  if (flagOf(kubelet.flags, "cgroup-driver") !== undefined)
    return inFlags('s#(--cgroup-driver[= ])[^ "]*#\\1cgroupfs#', "--cgroup-driver", kubelet);
  return `sed -i 's/^cgroupDriver:.*/cgroupDriver: cgroupfs/' ${shellWord(kubelet.file ?? usualFile)} && systemctl restart kubelet`;
}

/** A drop-in, since the file may have the table already. */
function setDriver(file: string, isSystemd: boolean): string {
  const folder = file.replace(/[^/]*$/, "config.d");
  return `mkdir -p ${folder} && printf '[runtime.handlers.runc]\\nsystemd_cgroup = ${isSystemd}\\n' >${folder}/50-cgroup-driver.toml && systemctl reload berthd`;
}
