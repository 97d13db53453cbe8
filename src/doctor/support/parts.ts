// SPDX-License-Identifier: Apache-2.0

import { parse, stringify } from "smol-toml";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { run } from "../../base/process.ts";
import { version } from "../../base/version.ts";
import { renderConfig } from "../../config/render.ts";
import { connectLight } from "../../rpc/light/light-client.ts";
import { gatesOf, settingOf } from "../facts/kubelet.ts";
import type { Patient } from "../patient.ts";

/** A file of the archive. */
export interface Part {
  readonly name: string;
  /** Its text, from which secrets have yet to be taken. */
  read(patient: Patient, call: Cancellable): Promise<string>;
}

const logLines = 5000;
const mostLogBytes = 16 * 1024 * 1024;
const mostMetricsBytes = 4 * 1024 * 1024;

/**
 * What a bug report needs. Environments, arguments and annotations of containers are not asked for, nor are their logs:
 * they are their owners'.
 */
export const parts: readonly Part[] = [
  { name: "versions.json", read: versions },
  {
    name: "config.toml",
    read: async ({ config, configuration }) => {
      const { problem, sources, warnings } = configuration;
      const said = [
        `read: ${sources.join(", ") || "no file"}`,
        ...(problem ? [problem] : []),
        ...warnings,
      ];
      const comments = said.flatMap((line) => line.split("\n")).map((line) => `# ${line}`);
      // Whose settings are of any kind.
      const named = Object.entries(config.plugins.config);
      const tables = named.map(([name, table]) => [name, { ...table, settings: {} }]);
      const bare = {
        ...config,
        plugins: { ...config.plugins, config: Object.fromEntries(tables) },
      };
      return `${comments.join("\n")}\n${renderConfig(bare, { comments: false })}`;
    },
  },
  { name: "hosts.txt", read: hostsFiles },
  { name: "status.json", read: async (patient) => json(await patient.daemon()) },
  {
    name: "operations.json",
    read: (patient, call) =>
      asked(patient, async (connection) => connection.client("berth.v1.Operations").List({}, call)),
  },
  { name: "pods.json", read: pods },
  { name: "kubelet.json", read: kubelet },
  {
    name: "log.txt",
    read: async (_patient, { signal }) => {
      const lines = ["-u", "berthd", "-n", String(logLines), "--no-pager", "-o", "short-iso"];
      const options = { signal, timeoutMs: 20_000, maxOutputBytes: mostLogBytes };
      return (await run("journalctl", lines, options)).stdout.toString();
    },
  },
  { name: "metrics.txt", read: metrics },
  { name: "mounts.txt", read: file("/proc/self/mountinfo") },
  { name: "cgroups.txt", read: cgroupFacts },
  { name: "process.txt", read: processFacts },
  { name: "memory.txt", read: file("/proc/meminfo") },
  { name: "modules.txt", read: file("/proc/modules") },
  {
    name: "disks.txt",
    read: async (_patient, { signal }) => {
      // What hangs ends the program, and nothing else.
      const options = { signal, timeoutMs: 5_000, anyExitCode: true };
      const space = await run("df", ["-P", "-l", "-T"], options);
      const inodes = await run("df", ["-P", "-l", "-i"], options);
      return `${space.stdout.toString()}\n${inodes.stdout.toString()}`;
    },
  },
];

async function versions(patient: Patient): Promise<string> {
  const { host } = patient;
  return json({
    client: version,
    daemon: (await patient.daemon()).version,
    node: process.version,
    arch: process.arch,
    kernel: await host.value("/proc/sys/kernel/osrelease"),
    commandLine: await host.value("/proc/cmdline"),
    system: (await host.text("/etc/os-release"))
      ?.split("\n")
      .filter((line) => /^(ID|VERSION|PRETTY)/.test(line)),
    uptime: await host.value("/proc/uptime"),
    load: await host.value("/proc/loadavg"),
    processes: (await patient.processes()).length,
  });
}

async function hostsFiles({ host, config }: Patient): Promise<string> {
  const texts: string[] = [];
  for (const folder of config.registry.configPath.split(":").filter((part) => part !== "")) {
    for (const name of (await host.names(folder)).slice(0, 1000)) {
      const names = await host.names(`${folder}/${name}`);
      const text = await host.text(`${folder}/${name}/hosts.toml`);
      texts.push(`${folder}/${name}: ${names.join(", ")}`);
      if (text !== undefined) texts.push(withoutHeaders(text));
    }
  }
  return texts.join("\n");
}

/** Whatever a header is called, its value may be a login; a comment may be one that was. */
function withoutHeaders(text: string): string {
  try {
    const file: unknown = parse(text);
    const tables = isRecord(file) && isRecord(file["host"]) ? Object.values(file["host"]) : [];
    for (const table of [file, ...tables]) if (isRecord(table)) delete table["header"];
    return stringify(file);
  } catch {
    return "(it is no TOML)";
  }
}

async function pods(patient: Patient, call: Cancellable): Promise<string> {
  return asked(patient, async (connection) => {
    const runtime = connection.client("runtime.v1.RuntimeService");
    const { items } = await runtime.ListPodSandbox({}, call);
    const { containers } = await runtime.ListContainers({}, call);
    return {
      pods: items.map(({ id, metadata, state, createdAt, runtimeHandler }) => ({
        id,
        metadata,
        state,
        createdAt: String(createdAt),
        runtimeHandler,
      })),
      containers: containers.map(({ id, podSandboxId, metadata, state, createdAt, imageRef }) => ({
        id,
        podSandboxId,
        metadata,
        state,
        createdAt: String(createdAt),
        imageRef,
      })),
    };
  });
}

async function kubelet(patient: Patient): Promise<string> {
  const facts = await patient.kubelet();
  if (facts === undefined) return json({ there: false });
  const { pid, minor, file: config, problems } = facts;
  return json({
    pid,
    minor,
    config,
    problems,
    endpoint: settingOf(facts, "container-runtime-endpoint", "containerRuntimeEndpoint"),
    images: settingOf(facts, "image-service-endpoint", "imageServiceEndpoint"),
    cgroupDriver: settingOf(facts, "cgroup-driver", "cgroupDriver"),
    gates: Object.fromEntries(gatesOf(facts)),
    flags: facts.flags
      .map((word) => /^--[a-z-]+/.exec(word)?.[0])
      .filter((word) => word !== undefined),
  });
}

async function metrics({ config }: Patient, { signal }: Cancellable): Promise<string> {
  if (config.metrics.address === "") return "";
  const answer = await fetch(`http://${config.metrics.address}/metrics`, { signal });
  const text = await answer.text();
  return text.slice(0, mostMetricsBytes);
}

async function cgroupFacts(patient: Patient): Promise<string> {
  const { host } = patient;
  const { pid } = await patient.daemon();
  const own = await host.text(`/proc/${pid ?? "self"}/cgroup`);
  const lines = [
    own ?? "",
    `controllers: ${(await host.value("/sys/fs/cgroup/cgroup.controllers")) ?? "cgroup v1"}`,
  ];
  const place = /^0::(.+)$/m.exec(own ?? "")?.[1];
  for (const name of [
    "memory.max",
    "memory.current",
    "memory.events",
    "memory.stat",
    "pids.max",
    "pids.current",
    "cpu.stat",
  ]) {
    const text =
      place === undefined ? undefined : await host.value(`/sys/fs/cgroup${place}/${name}`);
    if (text !== undefined) lines.push(`${name}:`, text);
  }
  return lines.join("\n");
}

async function processFacts(patient: Patient): Promise<string> {
  const { host } = patient;
  const { pid } = await patient.daemon();
  if (pid === undefined) return "berthd does not run";
  const texts: string[] = [];
  for (const name of ["status", "limits", "stat", "io", "oom_score_adj"])
    texts.push(`${name}:`, (await host.text(`/proc/${pid}/${name}`).catch(String)) ?? "");
  texts.push(`descriptors: ${(await host.names(`/proc/${pid}/fd`)).length}`);
  for (const thread of (await host.names(`/proc/${pid}/task`)).slice(0, 200)) {
    const name = await host.value(`/proc/${pid}/task/${thread}/comm`);
    const wait = await host.value(`/proc/${pid}/task/${thread}/wchan`);
    texts.push(`thread ${thread} ${name}: ${wait}`);
  }
  return texts.join("\n");
}

function file(name: string): Part["read"] {
  return async ({ host }) => {
    const text = await host.text(name);
    if (text === undefined) throw fault("NOT_FOUND", `there is no ${name}`);
    return text;
  };
}

type Connection = ReturnType<typeof connectLight>;

async function asked(
  patient: Patient,
  ask: (connection: Connection) => Promise<unknown>,
): Promise<string> {
  const { state, reason } = await patient.daemon();
  if (state !== "up") throw fault("UNAVAILABLE", reason);
  using connection = connectLight(patient.host.at(patient.socket));
  return json(await ask(connection));
}

/** Text, with what JSON has no form for as text. */
export function json(value: unknown): string {
  const plain = (_key: string, one: unknown): unknown =>
    typeof one === "bigint" ? String(one) : one;
  return `${JSON.stringify(value, plain, 2)}\n`;
}
