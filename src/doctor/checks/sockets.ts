// SPDX-License-Identifier: Apache-2.0

import { lstat } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import { type Listener, listenerOf } from "../../base/os/unix-peer.ts";
import { shellWord } from "../../base/shell-word.ts";
import type { Check } from "../check.ts";
import type { DaemonFacts } from "../facts/daemon.ts";
import { holdersOf } from "../facts/database-holders.ts";
import { error, type Finding, ok, warning } from "../finding.ts";

export const sockets: Check = {
  name: "sockets",
  about: "who listens at the sockets of berthd",
  needsConfig: true,
  run: async (patient) => {
    const { config, configuration, host, layout, socket } = patient;
    const daemon = await patient.daemon();
    // One whose main socket is gone has the others.
    const own = new Set([daemon.pid, ...(await holdersOf(host, layout.database))]);
    const { nri } = config;
    const further = [
      ...config.grpc.also,
      ...(nri.enable && !nri.disableConnections ? [nri.socketPath] : []),
    ];
    // A daemon that runs has others than the defaults, where its file has changed into one that cannot be used.
    const isKnown = configuration.problem === undefined;
    const wanted = [socket, `${socket}.ttrpc`, ...(isKnown ? further : [])];
    const found: Finding[] = [];
    for (const file of new Set(wanted)) {
      await host.reach(file);
      found.push(...(await lookAt(host.at(file), daemon, own)));
    }
    return found;
  },
};

async function lookAt(
  file: string,
  { state }: DaemonFacts,
  own: ReadonlySet<number | undefined>,
): Promise<Finding[]> {
  const facts = await lstat(file).catch(() => undefined);
  const runs = state === "up" || state === "hung";
  if (facts === undefined) {
    if (!runs) return [];
    const why =
      "whoever connects there does not find berthd, which runs: somebody has removed the socket";
    return [error({ what: `${file} is gone`, why, mend: "systemctl restart berthd" })];
  }
  if (facts.isSymbolicLink()) return [ok(`${file} is a link`)];
  if (!facts.isSocket()) {
    const why = "berthd does not start, or cannot have its socket there";
    return [
      error({
        what: `${file} is no socket`,
        why,
        mend: `rm -r ${shellWord(file)} && systemctl restart berthd`,
      }),
    ];
  }
  const owner = ownerOf(file);
  if (owner === "nobody") {
    if (runs) {
      const why = "berthd runs and does not listen there: clients are refused";
      return [error({ what: `nobody listens at ${file}`, why, mend: "systemctl restart berthd" })];
    }
    const why =
      "a daemon that was killed left it: clients are refused until berthd starts, which takes its place";
    return [warning({ what: `nobody listens at ${file}`, why, mend: "systemctl start berthd" })];
  }
  const { process } = owner;
  if (process === undefined || own.has(process.pid)) return [ok(`${file} is berthd's`)];
  if (!runs && isNode(process.name)) return [ok(`${file} is held by ${process.name}`)];
  return [
    error({
      what: `process ${process.pid} (${process.name}) listens at ${file}, and not berthd`,
      why: "clients that look for berthd there, such as the kubelet's cAdvisor, ctr or NRI plugins, find another daemon",
      mend: `systemctl disable --now ${process.name} && systemctl restart berthd`,
    }),
  ];
}

function ownerOf(file: string): Listener | "nobody" {
  try {
    return listenerOf(file) ?? "nobody";
  } catch (thrown) {
    if (errnoOf(thrown) === "ENOENT") return "nobody";
    return { process: undefined }; // not for us: whoever it is, it is somebody
  }
}

/** What a berthd that starts is called by the kernel. */
function isNode(name: string): boolean {
  return /^(node|berthd|MainThread|node-MainThread)$/.test(name);
}
