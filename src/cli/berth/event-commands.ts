// SPDX-License-Identifier: Apache-2.0

import type { Command } from "commander";
import { compileFilters } from "../../base/filter.ts";
import type { TypesEnvelope } from "../../gen/types.gen.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { nanosOf } from "../../rpc/timestamp.ts";
import type { CliIo } from "../cli-io.ts";
import { printable } from "../printable.ts";
import { checkUsage } from "../usage-fault.ts";
import { withNamespaceFlag, withSession } from "./call-options.ts";
import { jsonLineOf } from "./json.ts";
import { collect } from "./pairs.ts";

export function addEventCommands(program: Command, io: CliIo): void {
  withNamespaceFlag(program.command("events"), "all")
    .alias("event")
    .description(
      "print what happens, of all namespaces unless one is named; with --json one object a line",
    )
    .option(
      "--filter <filter>",
      "only events that pass one of these: topic, namespace, event.FIELD with ==, != or ~=",
      collect,
      [],
    )
    .addHelpText("after", examples)
    .action((flags: { filter: string[] }, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        checkUsage(() => compileFilters(flags.filter, () => undefined));
        const filters = session.namespaceIsGiven
          ? within(session.namespace, flags.filter)
          : flags.filter;
        const events = session
          .client("containerd.services.events.v1.Events")
          .Subscribe({ filters }, session.call);
        const { decodeEvent } = await import("../../events/event-fields.ts");
        for await (const envelope of events) {
          const shown = readable(envelope, decodeEvent);
          io.out(printable(session.json ? jsonLineOf(shown) : textOf(shown)));
        }
      }),
    );
}

const examples = `
Examples:
  berth events
  berth events --filter topic==/tasks/exit --json
  berth events --filter 'topic~=^/tasks/,namespace==k8s.io'
`;

/** One filter's conditions must all hold, so the namespace joins each of them. */
function within(namespace: string, filters: readonly string[]): string[] {
  const condition = `namespace==${JSON.stringify(namespace)}`;
  return filters.length === 0 ? [condition] : filters.map((filter) => `${filter},${condition}`);
}

interface ReadableEvent {
  readonly time: string;
  readonly namespace: string;
  readonly topic: string;
  readonly type: string;
  readonly event: Readonly<Record<string, unknown>> | null;
}

type Decode = (event: ProtoAny) => Readonly<Record<string, unknown>> | null;

function readable(
  { timestamp, namespace, topic, event }: TypesEnvelope,
  decode: Decode,
): ReadableEvent {
  const milliseconds = Number(nanosOf(timestamp ?? undefined) / 1_000_000n);
  return {
    time: new Date(milliseconds).toISOString(),
    namespace,
    topic,
    type: event?.type_url.slice(event.type_url.lastIndexOf("/") + 1) ?? "",
    event: event && decode(event),
  };
}

function textOf({ time, namespace, topic, event }: ReadableEvent): string {
  return `${time} ${namespace} ${topic} ${jsonLineOf(event)}`;
}
