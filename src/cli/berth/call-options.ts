// SPDX-License-Identifier: Apache-2.0

import type { Command } from "commander";
import type { Cancellable } from "../../base/cancellable.ts";
import { type Deadline, deadline } from "../../base/deadline.ts";
import { errnoOf, fault, isAbort } from "../../base/errors.ts";
import { checkIdentifier } from "../../base/identifier.ts";
import { createClient } from "../../client/client.ts";
import type { Client } from "../../client/ports.ts";
import { layoutOf, usualFolders } from "../../config/layout.ts";
import { parseDuration } from "../../config/quantity.ts";
import { isLost, Unconnected } from "../../rpc/http2/connection.ts";
import { connectLight } from "../../rpc/light/light-client.ts";
import type { ServiceClient, ServiceName } from "../../rpc/service.ts";
import type { CliIo } from "../cli-io.ts";
import { printable } from "../printable.ts";
import { socketPath } from "../socket-path.ts";
import { checkUsage, usageFault } from "../usage-fault.ts";
import { jsonOf } from "./json.ts";
import { type Column, renderTable } from "./table.ts";

const defaultAddress = layoutOf(usualFolders).socket;
/** Where pods and their images are, and where commands work that are told no other. */
export const criNamespace = "k8s.io";
const promptMs = 60_000;

/** What every command of `berth` gets: the daemon's services, and a way to show results. */
export interface Session {
  readonly address: string;
  readonly json: boolean;
  readonly call: { readonly signal: AbortSignal };
  /** containerd's namespace that the command works in. */
  readonly namespace: string;
  /** Whether the caller chose the namespace. */
  readonly namespaceIsGiven: boolean;
  /**
   * For calls that a daemon answers soon: DEADLINE_EXCEEDED after a minute, also where the command itself has no
   * limit.
   */
  promptly<T>(ask: (call: Cancellable) => Promise<T>): Promise<T>;
  /** `call` with that namespace, for containerd's services. */
  readonly scoped: { readonly signal: AbortSignal; readonly namespace: string };
  /** The client library over this connection and namespace. */
  containers(): Client;
  client<S extends ServiceName>(service: S): ServiceClient<S>;
  /** Prints the value as JSON with --json, else what `text` makes of it. */
  show<T>(value: T, text: (value: T) => string): void;
  showTable<T>(rows: readonly T[], columns: readonly Column<T>[], json?: unknown): void;
}

interface CommonFlags {
  readonly address?: string;
  readonly json?: boolean;
  readonly timeout?: string;
  readonly namespace?: string;
}

/** The flags that every command takes, before its name or after it. */
export function withCommonFlags(command: Command): Command {
  return command
    .option(
      "-a, --address <path>",
      `berthd's socket (default: $BERTH_ADDRESS, else ${defaultAddress})`,
    )
    .option("--timeout <duration>", "how long the command may take, such as 30s or 5m; 0: no limit")
    .option("--json", "print JSON");
}

/**
 * The flag of commands that work in one of containerd's namespaces. `otherwise`: the help's text for what holds
 * without it.
 */
export function withNamespaceFlag(
  command: Command,
  otherwise = `${criNamespace}, where pods are`,
): Command {
  return withCommonFlags(command).option(
    "-n, --namespace <name>",
    `containerd's namespace (default: $BERTH_NAMESPACE, else ${otherwise})`,
  );
}

/** For commands that ask no daemon for anything: flags before their name that would mean nothing are refused, not passed over. */
export function refuseSessionFlags(command: Command): void {
  const flags: CommonFlags = command.parent?.opts() ?? {};
  for (const name of ["timeout", "namespace"] as const) {
    if (flags[name] !== undefined) throw usageFault(`${command.name()} takes no --${name}`);
  }
}

/**
 * Runs one command's work on a connection of its own. `timeoutMs` is the limit when --timeout is not given; undefined
 * waits for ever.
 */
export async function withSession(
  command: Command,
  io: CliIo,
  timeoutMs: number | undefined,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const flags: CommonFlags = { ...command.parent?.optsWithGlobals(), ...command.opts() };
  const address = socketPath(flags.address ?? (io.env["BERTH_ADDRESS"] || defaultAddress));
  using limit = limitOf(flags.timeout, timeoutMs, io.lost);
  const { signal } = limit;
  const given = flags.namespace ?? (io.env["BERTH_NAMESPACE"] || undefined);
  refuseNamespace(command, flags.namespace, given);
  if (given !== undefined) checkUsage(() => checkIdentifier("namespace", given));
  const namespace = given ?? criNamespace;
  using connection = connectLight(address);
  const session: Session = {
    address,
    json: flags.json === true,
    call: { signal },
    namespace,
    namespaceIsGiven: given !== undefined,
    promptly: async (ask) => {
      using limit = deadline(promptMs, "the daemon's answer", signal);
      return await ask(limit);
    },
    scoped: { signal, namespace },
    containers: () =>
      createClient({
        namespace,
        services: {
          containers: connection.client("containerd.services.containers.v1.Containers"),
          tasks: connection.client("containerd.services.tasks.v1.Tasks"),
          snapshots: connection.client("containerd.services.snapshots.v1.Snapshots"),
        },
      }),
    client: (service) => connection.client(service),
    show: (value, text) => io.out(printable(flags.json === true ? jsonOf(value) : text(value))),
    showTable: (rows, columns, json = rows) =>
      io.out(printable(flags.json === true ? jsonOf(json) : renderTable(rows, columns))),
  };
  try {
    await work(session);
  } catch (error) {
    if (isAbort(error) && signal.aborted) throw signal.reason;
    // A registry that cannot be reached is UNAVAILABLE too, and the daemon says so itself.
    if (isLost(error)) throw wentAway(address, error);
    throw error instanceof Unconnected ? unconnected(address, error) : error;
  }
}

function wentAway(address: string, cause: unknown): Error {
  const message = `berthd on ${address} went away before it had answered: it may have done what it was asked, or not\nits log tells why, such as journalctl -u berthd`;
  return fault("UNAVAILABLE", message, { cause });
}

function unconnected(address: string, cause: Unconnected): Error {
  const isForbidden = ["EACCES", "EPERM"].includes(errnoOf(cause.cause) ?? "");
  const why = isForbidden
    ? "permission denied\nit is for root and the group that [grpc] gid names: run berth as root, such as with sudo"
    : `is it running there? (${cause.message})\nanother socket is named with --address or BERTH_ADDRESS`;
  const code = isForbidden ? "PERMISSION_DENIED" : "UNAVAILABLE";
  return fault(code, `cannot reach berthd on ${address}: ${why}`, { cause });
}

/** How long the command may take, and that somebody still wants what it prints. */
function limitOf(
  asked: string | undefined,
  usualMs: number | undefined,
  lost: AbortSignal | undefined,
): Deadline {
  const ms = asked === undefined ? usualMs : readTimeout(asked);
  const spoken = asked ?? `${(ms ?? 0) / 1000}s`;
  const why = asked === undefined ? "which --timeout can change" : "as --timeout says";
  const late = `gave up after ${spoken}, ${why}`;
  return deadline(ms ?? Infinity, fault("DEADLINE_EXCEEDED", late), ...(lost ? [lost] : []));
}

/**
 * A command without that flag works where pods are. What is asked of it elsewhere is not done there, least of all a
 * removal. The environment is for the commands that heed it; those of images are easily taken for such.
 */
function refuseNamespace(
  command: Command,
  flag: string | undefined,
  given: string | undefined,
): void {
  if (command.options.some(({ long }) => long === "--namespace")) return;
  const named = command.parent?.name() === "image" ? given : flag;
  if (named === undefined || named === criNamespace) return;
  const source = flag === undefined ? "BERTH_NAMESPACE" : "--namespace";
  throw usageFault(
    `"${spokenName(command)}" works in namespace "${criNamespace}" alone, and ${source} names "${named}"`,
  );
}

/** `berth image ls`. */
function spokenName(command: Command): string {
  const { parent } = command;
  return parent === null ? command.name() : `${spokenName(parent)} ${command.name()}`;
}

/** Milliseconds; Infinity for none. */
function readTimeout(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined && milliseconds >= 0) return milliseconds || Infinity;
  throw usageFault(
    `bad --timeout "${text}": expected a number with its unit, such as 30s or 5m, or 0 for no limit`,
  );
}
