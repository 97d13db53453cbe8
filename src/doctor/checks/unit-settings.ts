// SPDX-License-Identifier: Apache-2.0
import { readlink } from "node:fs/promises";
import { readUnit, type Unit, unitFolders } from "../facts/unit.ts";
import { error, type Finding, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";

const folder = "/etc/systemd/system/berthd.service.d";
/** With these a restart ends the shims, which are in the unit's cgroup: every pod with them. */
const keepsShims = /^(process|none)$/;
/** What gives the unit mounts of its own, and what takes it back. */
const ownMounts: Readonly<Record<string, string>> = {
  PrivateMounts: "no",
  PrivateTmp: "no",
  PrivateDevices: "no",
  ProtectSystem: "no",
  ProtectHome: "no",
  ProtectControlGroups: "no",
  ProtectKernelTunables: "no",
  ProtectKernelModules: "no",
  ProtectKernelLogs: "no",
  ReadOnlyPaths: "",
  InaccessiblePaths: "",
  BindPaths: "",
  BindReadOnlyPaths: "",
  TemporaryFileSystem: "",
  RootDirectory: "",
};
/** What a container has from its shim, and that from the daemon. */
const handedOn: Readonly<Record<string, string>> = {
  NoNewPrivileges: "no",
  CapabilityBoundingSet: "~",
  SystemCallFilter: "",
  RestrictAddressFamilies: "",
  RestrictNamespaces: "no",
  RestrictRealtime: "no",
  RestrictSUIDSGID: "no",
  MemoryDenyWriteExecute: "no",
  LockPersonality: "no",
  ProtectClock: "no",
  ProtectHostname: "no",
};
/** All shims of the node count for these. */
const limits = ["TasksMax", "MemoryMax", "MemoryHigh"];
const none = new Set(["", "no", "false", "off", "0", "infinity", "100%", "~"]);

/** What somebody has made of berthd's unit: settings under which pods end, or cannot do what they may. */
export async function unitFindings(patient: Patient): Promise<Finding[]> {
  const { host } = patient;
  const unit = await readUnit(host, "berthd");
  if (unit.files.length === 0) return [];
  const found: Finding[] = [];
  const killMode = unit.settings.get("KillMode") ?? "control-group";
  if (!keepsShims.test(killMode)) {
    found.push(
      error({
        what: `berthd's unit has KillMode=${killMode} (${whereOf(unit, "KillMode")})`,
        why: "a restart of berthd ends the shims, which are in its cgroup, and every pod of the node with them",
        mend: dropIn("killmode", ["KillMode=process"]),
      }),
    );
  }
  const mounts = setOf(unit, ownMounts);
  if (mounts.length > 0) {
    found.push(
      error({
        what: `berthd's unit has ${mounts.join(", ")} (${whereOf(unit, mounts[0])}), and so mounts of its own`,
        why: "what containers and volumes mount is not seen by the kubelet and CSI drivers, nor theirs by pods",
        mend: dropIn("mounts", resets(mounts, ownMounts), true),
      }),
    );
  }
  const taken = setOf(unit, handedOn);
  if (taken.length > 0) {
    found.push(
      warning({
        what: `berthd's unit has ${taken.join(", ")} (${whereOf(unit, taken[0])})`,
        why: "containers have from the daemon what it may: privileged ones too are denied what is taken here",
        mend: dropIn("rights", resets(taken, handedOn), true),
      }),
    );
  }
  const low = limits.filter((name) => !none.has(unit.settings.get(name) ?? ""));
  if (low.length > 0) {
    const said = low.map((name) => `${name}=${unit.settings.get(name)}`).join(" and ");
    found.push(
      warning({
        what: `berthd's unit has ${said} (${whereOf(unit, low[0])})`,
        why: "the shims of all pods count for it, a dozen threads and ten MiB each: with many pods none can be started, or the kernel kills shims",
        mend: dropIn("limits", resets(low, {})),
      }),
    );
  }
  return [...found, ...(await enablementOf(patient))];
}

/** A node whose kubelet comes after a boot and whose runtime does not. */
async function enablementOf(patient: Patient): Promise<Finding[]> {
  const { host } = patient;
  if (!(await isWanted(host, "kubelet")) || (await isWanted(host, "berthd"))) return [];
  const kubelet = await readUnit(host, "kubelet");
  if (kubelet.files.some(({ text }) => /^(Wants|Requires|BindsTo)=.*\bberthd\.service/m.test(text)))
    return [];
  return [
    warning({
      what: "berthd is not enabled, and the kubelet is",
      why: "after the node's next start the kubelet finds no runtime, and no pod runs",
      mend: "systemctl enable berthd",
    }),
  ];
}

/** Whether a target wants it: links there lead to it. */
async function isWanted(host: Host, service: string): Promise<boolean> {
  for (const root of unitFolders) {
    for (const name of await host.names(root).catch(() => [])) {
      if (!/\.(wants|requires|upholds)$/.test(name)) continue;
      const link = `${root}/${name}/${service}.service`;
      if ((await readlink(host.at(link)).catch(() => undefined)) !== undefined) return true;
    }
  }
  return false;
}

function setOf({ settings }: Unit, wanted: Readonly<Record<string, string>>): string[] {
  return Object.keys(wanted).filter((name) => {
    const value = settings.get(name);
    return value !== undefined && !none.has(value.toLowerCase());
  });
}

function whereOf({ files }: Unit, name = ""): string {
  const line = new RegExp(`^\\s*${name}\\s*=`, "m");
  return (files.findLast(({ text }) => line.test(text)) ?? files[0])?.file ?? "";
}

function resets(names: readonly string[], to: Readonly<Record<string, string>>): string[] {
  return names.map((name) => `${name}=${to[name] ?? "infinity"}`);
}

/** A drop-in that comes last. What a running process has already is its own until it starts anew. */
function dropIn(name: string, lines: readonly string[], needsRestart = false): string {
  const text = ["[Service]", ...lines].join("\\n");
  const restart = needsRestart
    ? " && systemctl restart berthd # pods keep what they have until they are made anew"
    : "";
  return `mkdir -p ${folder} && printf '${text}\\n' >${folder}/zz-${name}.conf && systemctl daemon-reload${restart}`;
}
