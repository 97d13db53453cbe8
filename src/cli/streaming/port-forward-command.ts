// SPDX-License-Identifier: Apache-2.0

import { once } from "node:events";
import net from "node:net";
import os from "node:os";
import type { Command } from "commander";
import { fault } from "../../base/errors.ts";
import { type Session, withCommonFlags, withSession } from "../berth/call-options.ts";
import type { CliIo } from "../cli-io.ts";
import { CommandExit } from "../command-exit.ts";
import { printable } from "../printable.ts";
import { usageFault } from "../usage-fault.ts";
import { terminalOf, withTlsFlags } from "./exec-commands.ts";
import { findPod } from "./find-object.ts";
import { readTls, type TlsOptions } from "./tls-flags.ts";

interface PortForwardFlags {
  readonly bind?: string[];
  readonly tlsCa?: string;
  readonly tlsServerName?: string;
}

/** A local port of 0 stands for any free one. */
interface PortPair {
  readonly local: number;
  readonly remote: number;
}

/** What all connections of one command share. */
interface Forwarding {
  readonly session: Session;
  readonly io: CliIo;
  readonly podSandboxId: string;
  readonly tls: TlsOptions;
}

export function addPortForwardCommand(program: Command, io: CliIo): void {
  withTlsFlags(withCommonFlags(program.command("port-forward <pod> <[local:]port...>")))
    .summary("forward local ports to ports on a pod's loopback")
    .description(
      "forward local ports to ports on a pod's loopback, until interrupted. A port alone is the same on both sides; an empty or zero local port takes any free one. The pod is named by its id, the start of its id, its name, or namespace/name",
    )
    .option("--bind <address...>", "local addresses to listen on (default: 127.0.0.1 and ::1)")
    .addHelpText("after", examples)
    .action((name: string, specs: string[], flags: PortForwardFlags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const pairs = specs.map(readPair);
        const { id: podSandboxId } = await findPod(session, name);
        const tls = await readTls(flags);
        await forward({ session, io, podSandboxId, tls }, pairs, flags);
      }),
    );
}

const examples = `
Examples:
  berth port-forward web 8080:80
  berth port-forward default/web :80 --bind 0.0.0.0
`;

async function forward(
  forwarding: Forwarding,
  pairs: readonly PortPair[],
  flags: PortForwardFlags,
): Promise<void> {
  const { io } = forwarding;
  await using servers = new AsyncDisposableStack();
  for (const pair of pairs) {
    let { local } = pair;
    for (const address of flags.bind ?? ["127.0.0.1", "::1"]) {
      const optional = flags.bind === undefined && address === "::1";
      const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
        void join(forwarding, pair.remote, socket); // reports its failures
      });
      const bound = await listen(server, address, local, optional);
      if (bound === undefined) continue;
      servers.defer(() => void server.close());
      local = bound; // the same for the next address
      io.out(
        `forwarding from ${address.includes(":") ? `[${address}]` : address}:${bound} to ${pair.remote}\n`,
      );
    }
  }
  const { promise: interrupted, resolve } = Promise.withResolvers<NodeJS.Signals>();
  using _signals = terminalOf(io).onSignal(resolve);
  throw new CommandExit(128 + os.constants.signals[await interrupted]);
}

/** A failure concerns this connection only. */
async function join(
  { session, io, podSandboxId, tls }: Forwarding,
  port: number,
  socket: net.Socket,
): Promise<void> {
  socket.on("error", () => {}); // "close" follows
  try {
    const { url } = await session.promptly((call) =>
      session.client("runtime.v1.RuntimeService").PortForward({ podSandboxId, port: [port] }, call),
    );
    const { forwardConnection } = await import("./forward-connection.ts");
    await forwardConnection(socket, { url, port, tls });
  } catch (error) {
    socket.destroy();
    io.error(`berth: ${printable(error instanceof Error ? error.message : String(error))}\n`);
  }
}

async function listen(
  server: net.Server,
  host: string,
  port: number,
  optional: boolean,
): Promise<number | undefined> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    if (optional) return undefined;
    const message = `cannot listen on ${host}, port ${port}: ${(cause as Error).message}`;
    throw fault("FAILED_PRECONDITION", message, { cause });
  }
  return (server.address() as net.AddressInfo).port;
}

function readPair(text: string): PortPair {
  const match = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(text);
  const remote = Number(match?.[2]);
  const local = match?.[1] === undefined ? remote : Number(match[1]);
  if (!match || remote < 1 || remote > 65_535 || local > 65_535) {
    throw usageFault(`bad port "${text}": expected PORT or LOCAL:PORT`);
  }
  return { local, remote };
}
