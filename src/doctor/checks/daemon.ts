// SPDX-License-Identifier: Apache-2.0
import { toldOf } from "../../config/layout.ts";
import { databaseRefusal } from "../../metadata/sqlite/file-header.ts";
import type { Check } from "../check.ts";
import type { DaemonFacts } from "../facts/daemon.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

export const daemon: Check = {
  name: "daemon",
  about: "whether berthd answers, and what it says of itself",
  run: async (patient) => {
    const facts = await patient.daemon();
    return [...answered(patient, facts), ...(await stored(patient)), ...conditionsOf(facts)];
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
          mend: "journalctl -u berthd -n 100; systemctl restart berthd",
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
          mend: "systemctl start berthd; journalctl -u berthd -n 100",
        }),
      ];
  }
}

async function stored({ host, layout }: Patient): Promise<Finding[]> {
  await host.reach(layout.database);
  const refusal = await databaseRefusal(
    host.at(layout.database),
    toldOf(layout).map((folder) => host.at(folder)),
  );
  if (refusal === undefined) return [];
  return [
    error({
      what: refusal,
      why: "berthd does not start on it: it knows its pods, images and layers by this file",
      mend: "berthd config check",
    }),
  ];
}

function conditionsOf({ conditions }: DaemonFacts): Finding[] {
  return conditions
    .filter(({ status }) => !status)
    .map(({ type, reason, message }) =>
      warning({
        what: `${type} does not hold: ${[reason, message].filter(Boolean).join(": ")}`,
        why: "the kubelet reports the node as NotReady, and no pods but those on the host's network start",
        mend: "berth status",
      }),
    );
}
