// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../base/errors.ts";
import type { BerthOperation } from "../../gen/berth.gen.ts";
import type { Container, ContainerStatus, PodSandbox } from "../../gen/cri.gen.ts";
import type { CliIo } from "../cli-io.ts";
import { usageFault } from "../usage-fault.ts";
import { type Session, withCommonFlags, withSession } from "./call-options.ts";
import { operationColumns } from "./daemon-commands.ts";
import { runtimeOf, sandboxOf } from "./default-runtime.ts";
import { readPairs } from "./pairs.ts";
import { readInfo } from "./status-info.ts";
import { ageSince, type Column, renderTable, shortId } from "./table.ts";

const timeoutMs = 10_000;
const cri = "runtime.v1.RuntimeService";

export function addPodCommands(program: Command, io: CliIo): void {
  const pod = program.command("pod").description("look at pods");
  withCommonFlags(pod.command("ls"))
    .description("list pods")
    .option("-l, --label <key=value...>", "only pods with these labels")
    .action((flags: { label?: string[] }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const labelSelector = readPairs("label", flags.label ?? []);
        const { items } = await session
          .client(cri)
          .ListPodSandbox({ filter: { labelSelector } }, session.call);
        session.showTable(items, podColumns);
      }),
    );
  withCommonFlags(pod.command("inspect <id>"))
    .description(
      "show one pod, its OCI runtime, its containers, which plugins changed what of them, and what is being done to it; the start of the id will do",
    )
    .action((id: string, _flags, command: Command) =>
      withSession(command, io, timeoutMs, (session) => inspectPod(session, id)),
    );
  withCommonFlags(program.command("ps"))
    .description("list running containers")
    .option("--all", "also those that do not run", false)
    .option("-p, --pod <id>", "only the containers of this pod")
    .option("-q, --quiet", "only their ids", false)
    .action((flags: { all: boolean; pod?: string; quiet: boolean }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const filter = {
          podSandboxId: flags.pod ?? "",
          state: flags.all ? null : { state: "CONTAINER_RUNNING" as const },
        };
        const { containers } = await session.client(cri).ListContainers({ filter }, session.call);
        const ids = containers.map(({ id }) => id);
        if (flags.quiet) session.show(ids, () => ids.map((id) => `${id}\n`).join(""));
        else session.showTable(containers, containerColumns);
      }),
    );
}

const podColumns: readonly Column<PodSandbox>[] = [
  { title: "POD", value: ({ id }) => shortId(id) },
  { title: "NAMESPACE", value: ({ metadata }) => metadata?.namespace ?? "" },
  { title: "NAME", value: ({ metadata }) => metadata?.name ?? "" },
  { title: "ATTEMPT", value: ({ metadata }) => String(metadata?.attempt ?? 0) },
  { title: "STATE", value: ({ state }) => (state === "SANDBOX_READY" ? "ready" : "not ready") },
  { title: "AGE", value: ({ createdAt }) => ageSince(createdAt) },
  { title: "HANDLER", value: ({ runtimeHandler }) => runtimeHandler || "(default)" },
];

const containerColumns: readonly Column<Container>[] = [
  { title: "CONTAINER", value: ({ id }) => shortId(id) },
  { title: "NAME", value: ({ metadata }) => metadata?.name ?? "" },
  { title: "STATE", value: ({ state }) => stateName(state) },
  { title: "ATTEMPT", value: ({ metadata }) => String(metadata?.attempt ?? 0) },
  { title: "AGE", value: ({ createdAt }) => ageSince(createdAt) },
  { title: "IMAGE", value: ({ image }) => image?.userSpecifiedImage || image?.image || "" },
  { title: "POD", value: ({ podSandboxId }) => shortId(podSandboxId) },
];

function stateName(state: Container["state"]): string {
  return state.replace("CONTAINER_", "").toLowerCase();
}

async function inspectPod(session: Session, prefix: string): Promise<void> {
  if (prefix === "") throw usageFault("the pod's id is empty");
  const runtime = session.client(cri);
  const { items } = await runtime.ListPodSandbox({ filter: { id: prefix } }, session.call);
  const [pod, another] = items;
  if (another)
    throw fault("INVALID_ARGUMENT", `"${prefix}" is the start of ${items.length} pods' ids`);
  if (!pod) return showStarting(session, prefix);
  const [{ status, info }, { containers }, { operations }] = await Promise.all([
    runtime.PodSandboxStatus({ podSandboxId: pod.id, verbose: true }, session.call),
    runtime.ListContainers({ filter: { podSandboxId: pod.id } }, session.call),
    session.client("berth.v1.Operations").List({ object: "" }, session.call),
  ]);
  const details = await Promise.all(
    containers.map(({ id }) =>
      runtime.ContainerStatus({ containerId: id, verbose: true }, session.call),
    ),
  );
  const statuses = details.flatMap((detail) => (detail.status ? [detail.status] : []));
  const changes = [
    ...changesIn("(pod)", info["info"]),
    ...details.flatMap(({ status, info }) => changesIn(status?.metadata?.name ?? "", info["info"])),
  ];
  const ids = new Set([pod.id, ...containers.map(({ id }) => id)]);
  const names = [pod.metadata?.name ?? "", pod.metadata?.uid ?? ""].filter((name) => name !== "");
  const own = operations.filter(
    ({ object }) => ids.has(object) || names.some((name) => object.includes(name)),
  );
  session.show({ status, info, containers: statuses, changes, operations: own }, () =>
    podText(pod, {
      ip: status?.network?.ip ?? "",
      runtime: runtimeOf(readInfo(info["info"]) ?? {}),
      sandbox: sandboxOf(readInfo(info["info"]) ?? {}),
      containers: statuses,
      changes,
      operations: own,
    }),
  );
}

/** What a plugin, of NRI or an operator's, has changed of what was asked for. */
interface Change {
  /** The container's name. */
  readonly of: string;
  readonly by: string;
  readonly fields: readonly string[];
}

function changesIn(of: string, info: string | undefined): Change[] {
  const { changedBy = [] } = readInfo<{ changedBy?: readonly Omit<Change, "of">[] }>(info) ?? {};
  return changedBy.map(({ by, fields }) => ({ of, by, fields }));
}

/** A pod whose start hangs is in no list yet: what is known is its operation, found by the pod's name. */
async function showStarting(session: Session, name: string): Promise<void> {
  const { operations } = await session
    .client("berth.v1.Operations")
    .List({ object: "" }, session.call);
  const own = operations.filter(({ object }) => object.includes(name));
  if (own.length === 0) throw fault("NOT_FOUND", `pod "${name}" not found`);
  session.show({ operations: own }, () => renderTable(own, operationColumns));
}

function podText(
  pod: PodSandbox,
  {
    ip,
    runtime,
    sandbox,
    containers,
    changes,
    operations,
  }: {
    readonly ip: string;
    readonly runtime: string;
    readonly sandbox: string;
    readonly containers: readonly ContainerStatus[];
    readonly changes: readonly Change[];
    readonly operations: readonly BerthOperation[];
  },
): string {
  const facts: readonly (readonly [string, string])[] = [
    ["pod", pod.id],
    [
      "name",
      `${pod.metadata?.namespace ?? ""}/${pod.metadata?.name ?? ""} (attempt ${pod.metadata?.attempt ?? 0})`,
    ],
    ["uid", pod.metadata?.uid ?? ""],
    ["state", pod.state === "SANDBOX_READY" ? "ready" : "not ready"],
    [
      "created",
      `${new Date(Number(pod.createdAt / 1_000_000n)).toISOString()} (${ageSince(pod.createdAt)} ago)`,
    ],
    ["address", ip || "-"],
    ["handler", pod.runtimeHandler || "(default)"],
    ["runtime", runtime],
    ["sandbox", sandbox],
    [
      "labels",
      Object.entries(pod.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(" ") || "-",
    ],
  ];
  const blocks = [facts.map(([name, value]) => `${name.padEnd(10)}${value}\n`).join("")];
  blocks.push(
    renderTable(containers, [
      { title: "CONTAINER", value: ({ id }) => shortId(id) },
      { title: "NAME", value: ({ metadata }) => metadata?.name ?? "" },
      { title: "STATE", value: ({ state }) => stateName(state) },
      {
        title: "EXIT",
        value: (status) =>
          status.state === "CONTAINER_EXITED" ? `${status.exitCode} ${status.reason}` : "-",
      },
      { title: "AGE", value: ({ createdAt }) => ageSince(createdAt) },
      { title: "LOG", value: ({ logPath }) => logPath || "-" },
    ]),
  );
  if (changes.length > 0) {
    blocks.push(
      renderTable(changes, [
        { title: "CHANGED", value: ({ of }) => of },
        { title: "BY", value: ({ by }) => by },
        { title: "WHAT", value: ({ fields }) => fields.join(", ") },
      ]),
    );
  }
  blocks.push(
    operations.length === 0
      ? "nothing is being done to it\n"
      : renderTable(operations, operationColumns),
  );
  return blocks.join("\n");
}
