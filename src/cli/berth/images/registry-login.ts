// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../../base/errors.ts";
import type { CliIo } from "../../cli-io.ts";
import { processTerminal } from "../../terminal.ts";
import { usageFault } from "../../usage-fault.ts";

export interface LoginFlags {
  readonly user?: string;
  readonly passwordStdin: boolean;
}

export interface Login {
  readonly username: string;
  readonly password: string;
}

const maxPasswordBytes = 64 * 1024;

export function withLoginFlags(command: Command): Command {
  return command
    .option(
      "-u, --user <user[:password]>",
      "credentials for the registry; other users of this machine see the command line",
    )
    .option("--password-stdin", "read the password from standard input", false);
}

/** What the flags say; null for nothing. INVALID_ARGUMENT where one part of it is missing. */
export async function readLogin(
  { user, passwordStdin }: LoginFlags,
  io: CliIo,
): Promise<Login | null> {
  if (user === undefined) {
    if (!passwordStdin) return null;
    throw usageFault("--password-stdin needs --user");
  }
  const at = user.indexOf(":");
  if (passwordStdin) {
    if (at >= 0) throw usageFault("--user has a password: leave out --password-stdin");
    return { username: user, password: await readPassword(io) };
  }
  if (at < 1) {
    throw usageFault("bad --user: expected user:password, or --password-stdin");
  }
  return { username: user.slice(0, at), password: user.slice(at + 1) };
}

/** Without the line's end that `echo` puts there. */
async function readPassword(io: CliIo): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of (io.terminal ?? processTerminal)().stdin) {
    const piece = Buffer.from(chunk as Buffer);
    bytes += piece.length;
    if (bytes > maxPasswordBytes) {
      throw fault("INVALID_ARGUMENT", `the password has more than ${maxPasswordBytes} bytes`);
    }
    chunks.push(piece);
  }
  const password = Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
  if (password === "") throw fault("INVALID_ARGUMENT", "standard input has no password");
  return password;
}
