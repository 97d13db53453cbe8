// SPDX-License-Identifier: Apache-2.0

import path from "node:path";
import { shellWord } from "../../base/shell-word.ts";
import { toldOf } from "../../config/layout.ts";
import { databaseRefusal } from "../../metadata/sqlite/file-header.ts";
import type { Check } from "../check.ts";
import type { DaemonFacts } from "../facts/daemon.ts";
import { holdersOf } from "../facts/database-holders.ts";
import { readUnit } from "../facts/unit.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import { packageCommand } from "../package-command.ts";
import type { Patient } from "../patient.ts";
import { unitFindings } from "./unit-settings.ts";

/** What systemd gives services by itself is half a million. */
const fewDescriptors = 65_536;

export const daemon: Check = {
  name: "daemon",
  about: "whether berthd answers, and what it says of itself",
  needsConfig: true,
  run: async (patient) => {
    const facts = await patient.daemon();
    const [holder] =
      facts.state === "down" ? await holdersOf(patient.host, patient.layout.database) : [];
    return [
      // First: with some of its settings the commands of the others, which restart it, would end every pod.
      ...(await unitFindings(patient)),
      ...(holder === undefined ? answered(patient, facts) : [unreachable(patient, holder)]),
      ...(await stored(patient)),
      ...conditionsOf(facts),
      ...(await confinementOf(patient, facts)),
      ...(await descriptorsOf(patient, facts.pid ?? holder)),
    ];
  },
};

function answered({ socket }: Patient, { state, reason, pid, version }: DaemonFacts): Finding[] {
  const process = pid === undefined ? "" : ` (process ${pid})`;
  switch (state) {
    case "up":
      return [ok(`berthd ${version}${process} answers at ${socket}`)];
    case "hung":
      return [
        error({
          what: `berthd${process} does not answer at ${socket}: ${reason}`,
          why: "the kubelet gets no answer either, and the node becomes NotReady; pods run on",
          mend: "journalctl -u berthd -n 100 --no-pager; systemctl restart berthd",
        }),
      ];
    case "other":
      return [
        error({
          what: `${socket} is not berthd's: ${reason}`,
          why: "the kubelet speaks to another runtime than the one that has its pods",
          mend: "systemctl disable --now containerd crio; systemctl restart berthd",
        }),
      ];
    case "closed":
      return [
        error({
          what: `cannot ask berthd at ${socket}: ${reason}`,
          why: "the socket is for root, or the group of [grpc] gid",
          mend: "sudo berth doctor",
        }),
      ];
    case "down":
      return [
        error({
          what: `berthd does not run: ${reason} (${socket})`,
          why: "no pod can be started or ended; those that run go on",
          mend: "systemctl start berthd; journalctl -u berthd -n 100 --no-pager",
        }),
      ];
  }
}

/** It runs, for it has the database open, and somebody has removed its socket. */
function unreachable({ socket, layout }: Patient, holder: number): Finding {
  return error({
    what: `process ${holder} has ${layout.database} open, and nobody listens at ${socket}`,
    why: "a berthd runs that the kubelet cannot reach: its socket was removed, or it was told another one",
    mend: "systemctl restart berthd",
  });
}

/** What a container may open it has from its shim, and that from the daemon. */
async function descriptorsOf({ host }: Patient, pid: number | undefined): Promise<Finding[]> {
  if (pid === undefined) return [];
  const limits = (await host.value(`/proc/${pid}/limits`)) ?? "";
  const most = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? Number.NaN);
  if (!(most < fewDescriptors)) return [];
  const file = "/etc/systemd/system/berthd.service.d/50-nofile.conf";
  const set = (await readUnit(host, "berthd")).settings.get("LimitNOFILE");
  const isSet = Number(set?.split(":").at(-1)) >= fewDescriptors || set === "infinity";
  return [
    warning({
      what: `berthd may have ${most} files open, and so may each process of a pod that is started from now on`,
      why: "databases, proxies and search engines in pods fail with `too many open files`, and the daemon with hundreds of pods",
      mend: isSet
        ? `systemctl restart berthd # where that changes nothing, what this system runs in (a container's --ulimit nofile) gives it less than its unit's LimitNOFILE=${set}`
        : `mkdir -p ${path.dirname(file)} && printf '[Service]\\nLimitNOFILE=1048576\\n' >${file} && systemctl daemon-reload && systemctl restart berthd`,
    }),
  ];
}

async function stored({ host, layout, config }: Patient): Promise<Finding[]> {
  await host.reach(layout.database);
  const refusal = await databaseRefusal(
    host.at(layout.database),
    toldOf(layout).map((folder) => host.at(folder)),
  );
  if (refusal === undefined) return [];
  return [
    error({
      what: refusal,
      why: "berthd does not start on it: it knows its pods, images and layers by this file. Without a copy of it the node begins anew: pods that run are to be ended, or the node rebooted",
      mend: /newer version/.test(refusal)
        ? "apt-get install -y --only-upgrade berth; systemctl start berthd"
        : `systemctl stop kubelet berthd; cd ${shellWord(config.root)} && aside=damaged-$(date +%s) && mkdir $aside && find . -mindepth 1 -maxdepth 1 ! -name 'damaged-*' -exec mv -t $aside {} + ; systemctl start berthd kubelet`,
    }),
  ];
}

/** The default profile of AppArmor, as berthd has last tried to load it. */
async function confinementOf({ host }: Patient, { info }: DaemonFacts): Promise<Finding[]> {
  const told = info["confinement"];
  const { apparmor } = told === undefined ? {} : (JSON.parse(told) as Confinement);
  if (apparmor?.enabled !== true || apparmor.problem === undefined || apparmor.problem === "")
    return [];
  return [
    warning({
      what: `the default profile of AppArmor cannot be had: ${apparmor.problem}`,
      why: "containers run without one, and those that ask for it by name are refused",
      mend: /no apparmor_parser/.test(apparmor.problem)
        ? `${await packageCommand(host, "apparmor")} && systemctl restart berthd`
        : "journalctl -u berthd --no-pager | grep -i apparmor | tail -n 5; systemctl restart berthd",
    }),
  ];
}

interface Confinement {
  readonly apparmor?: { readonly enabled?: boolean; readonly problem?: string };
}

function conditionsOf({ conditions }: DaemonFacts): Finding[] {
  return conditions
    .filter(({ status }) => !status)
    .map(({ type, reason, message }) =>
      warning({
        what: `${type} does not hold: ${[reason, message].filter(Boolean).join(": ")}`,
        why: "the kubelet reports the node as NotReady, and no pods but those on the host's network start",
        mend:
          type === "NetworkReady" ? "berth doctor --only cni" : "berth status; berth operations",
      }),
    );
}
