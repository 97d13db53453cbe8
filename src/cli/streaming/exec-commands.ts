// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../base/errors.ts";
import { withCommonFlags, withSession } from "../berth/call-options.ts";
import type { CliIo } from "../cli-io.ts";
import type { Terminal } from "../terminal.ts";
import { findContainer } from "./find-object.ts";
import { readTls } from "./tls-flags.ts";

interface StreamFlags {
  readonly stdin?: boolean;
  readonly tty?: boolean;
  readonly tlsCa?: string;
  readonly tlsServerName?: string;
}

const cri = "runtime.v1.RuntimeService";

export function addExecCommands(program: Command, io: CliIo): void {
  withStreamFlags(withCommonFlags(program.command("exec <container> <command...>")))
    .summary("run a command in a container; its exit status is the command's")
    .description(
      "run a command in a container; its exit status is the command's. The container is named by its id, the start of its id, or its name",
    )
    .passThroughOptions()
    .addHelpText("after", execExamples)
    .action((name: string, cmd: string[], flags: StreamFlags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const terminal = terminalOf(io);
        const { id } = await findContainer(session, name);
        const { stdin = false, tty = false } = flags;
        const request = { containerId: id, cmd, stdin, tty, stdout: true, stderr: !tty };
        const { url } = await session.promptly((call) => session.client(cri).Exec(request, call));
        const { signal } = session.call;
        const { joinTerminal } = await import("./join-terminal.ts");
        await joinTerminal({ url, terminal, stdin, tty, tls: await readTls(flags), signal });
      }),
    );

  withStreamFlags(withCommonFlags(program.command("attach <container>")))
    .summary("join the streams of a container's own process")
    .description(
      "join the streams of a container's own process: its output from now on, and with -i its input. Ctrl-C leaves it running, unless -t passes it on",
    )
    .addHelpText("after", attachExamples)
    .action((name: string, flags: StreamFlags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const terminal = terminalOf(io);
        const { id } = await findContainer(session, name);
        const { stdin = false, tty = false } = flags;
        const request = { containerId: id, stdin, tty, stdout: true, stderr: !tty };
        const { url } = await session.promptly((call) => session.client(cri).Attach(request, call));
        const { signal } = session.call;
        const { joinTerminal } = await import("./join-terminal.ts");
        await joinTerminal({ url, terminal, stdin, tty, tls: await readTls(flags), signal });
      }),
    );
}

/** Flags for a streaming server with TLS. */
export function withTlsFlags(command: Command): Command {
  return command
    .option("--tls-ca <file>", "PEM of the authority behind the streaming server's certificate")
    .option("--tls-server-name <name>", "the name in the streaming server's certificate");
}

/** INVALID_ARGUMENT where there is nothing to join streams with. */
export function terminalOf(io: CliIo): Terminal {
  const terminal = io.terminal?.();
  if (terminal) return terminal;
  throw fault("INVALID_ARGUMENT", "this command needs standard streams");
}

function withStreamFlags(command: Command): Command {
  return withTlsFlags(
    command
      .option("-i, --stdin", "pass standard input on")
      .option("-t, --tty", "the process has a terminal: pass keys and changes of size on"),
  );
}

const execExamples = `
Examples:
  berth exec web date
  berth exec -it 4f1c sh
  tar c . | berth exec -i web tar x -C /srv
`;

const attachExamples = `
Examples:
  berth attach web
  berth attach -it 4f1c
`;
