// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../base/errors.ts";
import type { BerthNriCall, BerthNriPlugin } from "../../gen/berth.gen.ts";
import type { CliIo } from "../cli-io.ts";
import { usageFault } from "../usage-fault.ts";
import { withCommonFlags, withSession } from "./call-options.ts";
import { age, type Column, renderTable } from "./table.ts";

const timeoutMs = 10_000;
const service = "berth.v1.Nri";
/** All calls that a plugin can subscribe, without the one that makes it a validator. */
const allEvents = 13;
const validation = "ValidateContainerAdjustment";
/** So many of them are named in the list. */
const namedEvents = 2;

export function addNriCommands(program: Command, io: CliIo): void {
  const nri = program.command("nri").description("look at the plugins of NRI");
  withCommonFlags(nri.command("ls"))
    .description(
      "list the plugins, those that went too: state, calls, what their answers took, failures, and what they changed",
    )
    .action((_flags: object, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const { plugins } = await session.client(service).List({}, session.call);
        session.showTable(plugins, pluginColumns);
      }),
    );
  withCommonFlags(nri.command("inspect <plugin>"))
    .description("show one plugin and each of its calls; it is named NAME or NN-NAME")
    .action((name: string, _flags: object, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        if (name === "") throw usageFault("the plugin's name is empty");
        const { plugins } = await session.client(service).List({ name }, session.call);
        if (plugins.length === 0) throw fault("NOT_FOUND", `NRI plugin "${name}" not found`);
        session.show(plugins, () => plugins.map(pluginText).join("\n"));
      }),
    );
}

export function nriPluginId({ index, name }: BerthNriPlugin): string {
  return `${index}-${name}`;
}

const pluginColumns: readonly Column<BerthNriPlugin>[] = [
  { title: "PLUGIN", value: nriPluginId },
  { title: "KIND", value: ({ kind }) => kind },
  { title: "STATE", value: ({ state }) => state },
  { title: "AGE", value: ({ seconds }) => age(seconds * 1000) },
  { title: "EVENTS", value: ({ events }) => eventsText(events) },
  { title: "CALLS", value: ({ calls }) => String(sum(calls, ({ count }) => count)) },
  { title: "MEAN", value: ({ calls }) => meanText(calls) },
  { title: "MAX", value: ({ calls }) => longestText(calls) },
  { title: "FAILED", value: ({ calls }) => String(sum(calls, ({ failures }) => failures)) },
  { title: "CHANGES", value: ({ calls }) => String(sum(calls, ({ adjustments }) => adjustments)) },
  { title: "WHY", value: ({ reason }) => reason || "-" },
];

const callColumns: readonly Column<BerthNriCall>[] = [
  { title: "CALL", value: ({ name }) => name },
  { title: "CALLS", value: ({ count }) => String(count) },
  { title: "MEAN", value: (call) => meanText([call]) },
  { title: "MAX", value: (call) => longestText([call]) },
  { title: "FAILED", value: ({ failures }) => String(failures) },
  { title: "CHANGES", value: ({ adjustments }) => String(adjustments) },
];

function pluginText(plugin: BerthNriPlugin): string {
  const { state, reason, kind, version, seconds, events, calls } = plugin;
  const facts: readonly (readonly [string, string])[] = [
    ["plugin", nriPluginId(plugin)],
    ["state", reason === "" ? state : `${state}: ${reason}`],
    ["kind", kind],
    ["version", version],
    ["connected", `${age(seconds * 1000)} ago`],
    ["events", events.join(" ") || "-"],
  ];
  const lines = facts.map(([name, value]) => `${name.padEnd(11)}${value}\n`).join("");
  return calls.length === 0
    ? `${lines}\nit has not been called\n`
    : `${lines}\n${renderTable(calls, callColumns)}`;
}

function eventsText(events: readonly string[]): string {
  if (events.length === 0) return "-";
  const told = events.filter((event) => event !== validation);
  const all = told.length === allEvents ? ["all"] : told;
  const names = events.includes(validation) ? [...all, validation] : all;
  const more = names.length - namedEvents;
  const named = names.slice(0, namedEvents).join(" ");
  return more > 0 ? `${named} and ${more} more` : named;
}

function meanText(calls: readonly BerthNriCall[]): string {
  const count = Number(sum(calls, (call) => call.count));
  const seconds = calls.reduce((all, call) => all + call.totalSeconds, 0);
  return count === 0 ? "-" : duration(seconds / count);
}

function longestText(calls: readonly BerthNriCall[]): string {
  if (calls.every(({ count }) => count === 0n)) return "-";
  return duration(Math.max(...calls.map(({ longestSeconds }) => longestSeconds)));
}

/** 0.0123 → "12.3ms", 2 → "2.0s". */
function duration(seconds: number): string {
  return seconds < 1 ? `${(seconds * 1000).toFixed(1)}ms` : `${seconds.toFixed(1)}s`;
}

function sum(calls: readonly BerthNriCall[], of: (call: BerthNriCall) => bigint): bigint {
  return calls.reduce((all, call) => all + of(call), 0n);
}
