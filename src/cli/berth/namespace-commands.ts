// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import type { NamespacesNamespace } from "../../gen/namespaces.gen.ts";
import type { CliIo } from "../cli-io.ts";
import { type Session, withCommonFlags, withSession } from "./call-options.ts";
import { readPairs } from "./pairs.ts";
import type { Column } from "./table.ts";

const timeoutMs = 10_000;
const service = "containerd.services.namespaces.v1.Namespaces";

export function addNamespaceCommands(program: Command, io: CliIo): void {
  const namespace = program
    .command("namespace")
    .alias("ns")
    .description("containerd's namespaces: k8s.io holds the pods, others are for you")
    .enablePositionalOptions();
  const run = (command: Command, work: (session: Session) => Promise<void>): Promise<void> =>
    withSession(command, io, timeoutMs, work);

  withCommonFlags(namespace.command("ls"))
    .description("list namespaces")
    .action((_flags: object, command: Command) =>
      run(command, async (session) => {
        const { namespaces } = await session.client(service).List({}, session.call);
        session.showTable(namespaces, namespaceColumns);
      }),
    );
  withCommonFlags(namespace.command("create <name> [key=value...]"))
    .description("make a namespace, with labels")
    .action((name: string, pairs: string[], _flags: object, command: Command) =>
      run(command, async (session) => {
        const wanted = { name, labels: readPairs("label", pairs) };
        await session.client(service).Create({ namespace: wanted }, session.call);
        session.show(wanted, () => "");
      }),
    );
  withCommonFlags(namespace.command("rm <name...>"))
    .description("remove namespaces that nothing is in")
    .action((names: string[], _flags: object, command: Command) =>
      run(command, async (session) => {
        for (const name of names) await session.client(service).Delete({ name }, session.call);
        session.show({ removed: names }, () => "");
      }),
    );
  withCommonFlags(namespace.command("label <name> <key=value...>"))
    .description("set labels of a namespace; key= takes one away")
    .action((name: string, pairs: string[], _flags: object, command: Command) =>
      run(command, async (session) => {
        const labels = readPairs("label", pairs);
        const paths = Object.keys(labels).map((key) => `labels.${key}`);
        const request = { namespace: { name, labels }, updateMask: { paths } };
        const { namespace: updated } = await session.client(service).Update(request, session.call);
        session.show(updated?.labels ?? {}, (kept) => labelText(kept));
      }),
    );
}

const namespaceColumns: readonly Column<NamespacesNamespace>[] = [
  { title: "NAMESPACE", value: ({ name }) => name },
  {
    title: "LABELS",
    value: ({ labels }) => labelText(labels).trimEnd().replaceAll("\n", " ") || "-",
  },
];

function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
