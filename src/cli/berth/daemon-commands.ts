// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../base/errors.ts";
import type { MemoryFacts } from "../../base/memory/memory-budget.ts";
import { version } from "../../base/version.ts";
import type { ReloadFacts } from "../../config/reload-history.ts";
import type { BerthOperation } from "../../gen/berth.gen.ts";
import type { KubeState } from "../../kube/kube-reporter.ts";
import type { FlawedRuntime } from "../../oci/runtime-flaws.ts";
import type { LostSocket } from "../../rpc/socket-watch.ts";
import type { StuckTree } from "../../trees/ports.ts";
import type { CliIo } from "../cli-io.ts";
import { type Session, withCommonFlags, withSession } from "./call-options.ts";
import { describeCluster } from "./cluster-facts.ts";
import { type DefaultRuntimeFacts, describeDefault } from "./default-runtime.ts";
import { describeFlawed } from "./flawed-runtimes.ts";
import { describeLostSockets } from "./lost-sockets.ts";
import { describeMemory } from "./memory-facts.ts";
import { describeMissingPlugins, type MissingPlugin } from "./missing-plugins.ts";
import { describeReload } from "./reload-facts.ts";
import { readInfo } from "./status-info.ts";
import { describeStuck } from "./stuck-removals.ts";
import { age, bytes, type Column, renderTable } from "./table.ts";

const timeoutMs = 10_000;

export function addDaemonCommands(program: Command, io: CliIo): void {
  withCommonFlags(program.command("version"))
    .description("print the client's and the daemon's versions")
    .action((_flags, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const daemon = await session
          .client("runtime.v1.RuntimeService")
          .Version({ version: "v1" }, session.call);
        session.show({ client: version, daemon }, () =>
          [
            `client          berth ${version}`,
            `daemon          ${daemon.runtimeName} ${daemon.runtimeVersion}`,
            `CRI             ${daemon.runtimeApiVersion}`,
            `socket          ${session.address}`,
            "",
          ].join("\n"),
        );
      }),
    );

  withCommonFlags(program.command("status"))
    .description(
      "print the daemon's conditions, runtime handlers, default OCI runtime, last reload, memory, what the cluster takes, what could not be removed, lost sockets, missing NRI plugins and known flaws of OCI runtimes; exits 1 when a condition does not hold",
    )
    .action((_flags, command: Command) =>
      withSession(command, io, timeoutMs, (session) => status(session)),
    );

  withCommonFlags(program.command("operations [object]"))
    .description(
      "list the calls that run now, each with its stage; of one pod or container when it is named",
    )
    .action((object: string | undefined, _flags, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const { operations } = await session
          .client("berth.v1.Operations")
          .List({ object: object ?? "" }, session.call);
        session.showTable(operations, operationColumns);
      }),
    );
}

/** Also shown by `berth pod inspect`. */
export const operationColumns: readonly Column<BerthOperation>[] = [
  { title: "CALL", value: ({ rpc }) => rpc },
  { title: "OBJECT", value: ({ object }) => object },
  { title: "RUNNING", value: ({ seconds }) => age(seconds * 1000) },
  {
    title: "STAGE",
    value: ({ stages, doneBytes, totalBytes }) => {
      const all = stages.map(({ name, seconds }) => `${name} (${age(seconds * 1000)})`);
      const moved = totalBytes > 0n ? [`${bytes(doneBytes)} of ${bytes(totalBytes)}`] : [];
      return [...all, ...moved].join(", ") || "-";
    },
  },
];

async function status(session: Session): Promise<void> {
  const runtime = session.client("runtime.v1.RuntimeService");
  const [{ info, ...state }, config] = await Promise.all([
    runtime.Status({ verbose: true }, session.call),
    runtime.RuntimeConfig({}, session.call),
  ]);
  const conditions = state.status?.conditions ?? [];
  const configuration = readInfo<ReloadFacts>(info["configReload"]);
  const cluster = readInfo<KubeState>(info["cluster"]);
  const memory = readInfo<MemoryFacts>(info["memory"]);
  const stuckRemovals = readInfo<readonly StuckTree[]>(info["stuckRemovals"]) ?? [];
  const flawedRuntimes = readInfo<readonly FlawedRuntime[]>(info["flawedRuntimes"]) ?? [];
  const defaultRuntime = readInfo<DefaultRuntimeFacts>(info["defaultRuntime"]);
  const lostSockets = readInfo<readonly LostSocket[]>(info["lostSockets"]) ?? [];
  const missingPlugins = readInfo<readonly MissingPlugin[]>(info["missingNriPlugins"]) ?? [];
  const told = {
    config,
    configuration,
    defaultRuntime,
    memory,
    cluster,
    stuckRemovals,
    lostSockets,
    missingPlugins,
    flawedRuntimes,
  };
  session.show({ ...state, ...told }, () => {
    const features = (handler: (typeof state.runtimeHandlers)[number]): string =>
      Object.entries(handler.features ?? {})
        .filter(([, present]) => present)
        .map(([name]) => name)
        .join(", ") || "-";
    return [
      renderTable(conditions, [
        { title: "CONDITION", value: ({ type }) => type },
        { title: "HOLDS", value: (condition) => (condition.status ? "yes" : "no") },
        {
          title: "REASON",
          value: ({ reason, message }) => [reason, message].filter(Boolean).join(": "),
        },
      ]),
      renderTable(state.runtimeHandlers, [
        { title: "HANDLER", value: ({ name }) => name || "(default)" },
        { title: "FEATURES", value: features },
      ]),
      ...(defaultRuntime === undefined ? [] : [describeDefault(defaultRuntime)]),
      `cgroup driver: ${config.linux?.cgroupDriver.toLowerCase() ?? "unknown"}\n`,
      ...(configuration === undefined ? [] : [describeReload(configuration)]),
      ...(memory === undefined ? [] : [describeMemory(memory)]),
      ...(cluster === undefined ? [] : [describeCluster(cluster)]),
      ...(stuckRemovals.length === 0 ? [] : [describeStuck(stuckRemovals)]),
      ...(lostSockets.length === 0 ? [] : [describeLostSockets(lostSockets)]),
      ...(missingPlugins.length === 0 ? [] : [describeMissingPlugins(missingPlugins)]),
      ...(flawedRuntimes.length === 0 ? [] : [describeFlawed(flawedRuntimes)]),
    ].join("\n");
  });
  const missing = conditions.filter((condition) => !condition.status).map(({ type }) => type);
  if (missing.length > 0) {
    throw fault("FAILED_PRECONDITION", `the daemon is not ready: ${missing.join(", ")}`);
  }
}
