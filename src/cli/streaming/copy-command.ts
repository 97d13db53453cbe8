// SPDX-License-Identifier: Apache-2.0

import { stat } from "node:fs/promises";
import path from "node:path";
import { PassThrough, type Readable, Writable } from "node:stream";
import type { Command } from "commander";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { trimEndOf } from "../../base/trim-end.ts";
import { type Session, withCommonFlags, withSession } from "../berth/call-options.ts";
import type { CliIo } from "../cli-io.ts";
import { printableLine } from "../printable.ts";
import { usageFault } from "../usage-fault.ts";
import { withTlsFlags } from "./exec-commands.ts";
import { findContainer } from "./find-object.ts";
import { readTls, type TlsOptions } from "./tls-flags.ts";

/** `CONTAINER:PATH`, or a local path when there is no container. */
interface Place {
  readonly container: string | undefined;
  readonly path: string;
}

interface CopyFlags {
  readonly tlsCa?: string;
  readonly tlsServerName?: string;
}

/** A copy into a container or out of it. */
interface Copying {
  readonly session: Session;
  readonly io: CliIo;
  readonly containerId: string;
  readonly tls: TlsOptions;
}

const cri = "runtime.v1.RuntimeService";

export function addCopyCommand(program: Command, io: CliIo): void {
  withTlsFlags(withCommonFlags(program.command("cp <source> <target>")))
    .summary("copy a file or folder into a container or out of it")
    .description(
      "copy a file or folder into a container or out of it. One side is CONTAINER:PATH. The container needs a tar; with GNU's, attributes and holes are kept too. Pipes, sockets and devices are left out, with a word, and so is what a container should not hand out: links that lead out of what is copied, set-id bits and file capabilities",
    )
    .addHelpText("after", examples)
    .action((source: string, target: string, flags: CopyFlags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const tls = await readTls(flags);
        const [from, to] = [readPlace(source), readPlace(target)];
        if (from.container === undefined && to.container !== undefined) {
          const { id } = await findContainer(session, to.container);
          await copyIn({ session, io, containerId: id, tls }, from.path, to.path);
        } else if (from.container !== undefined && to.container === undefined) {
          const { id } = await findContainer(session, from.container);
          await copyOut({ session, io, containerId: id, tls }, from.path, to.path);
        } else {
          throw usageFault("one of source and target must be CONTAINER:PATH");
        }
      }),
    );
}

const examples = `
Examples:
  berth cp ./site web:/srv/www
  berth cp web:/var/log/app.log .
`;

/** A colon after a slash belongs to a local path, as in ./a:b. */
function readPlace(text: string): Place {
  const match = /^([^:/]+):(.+)$/.exec(text);
  if (!match) return { container: undefined, path: text };
  return { container: match[1], path: match[2] ?? "" };
}

async function copyIn(copying: Copying, source: string, target: string): Promise<void> {
  const { packTree } = await import("./pack-tree.ts");
  const { session, io } = copying;
  const into = target.endsWith("/") || (await isFolderInContainer(copying, target));
  const folder = into ? target : path.posix.dirname(target);
  const name = into ? path.basename(path.resolve(source)) : path.posix.basename(target);
  const archive = new PassThrough();
  const isGnu = await hasGnuTar(copying);
  const attributes = isGnu ? ["--xattrs", "--xattrs-include=*"] : [];
  const command = ["tar", ...attributes, "-xf", "-", "-C", folder];
  const failure = new AbortController();
  const signal = AbortSignal.any([session.call.signal, failure.signal]);
  const packing = packTree(source, name, archive, {
    longNames: isGnu ? "pax" : "gnu",
    onSkip: reportSkipped(io),
  });
  // Awaited below. Without the abort, tar would wait for the rest of the archive for ever.
  packing.catch((error: unknown) => failure.abort(error));
  const discard = new Writable({ write: (_chunk, _encoding, done) => done() });
  const streams = { stdin: archive, stdout: discard };
  const running = runTar(copying, command, streams, signal);
  await Promise.all([packing, running]);
}

async function copyOut(copying: Copying, source: string, target: string): Promise<void> {
  const { unpackTree } = await import("./unpack-tree.ts");
  const { session, io } = copying;
  const name = path.posix.basename(path.posix.resolve("/", source));
  if (name === "") throw usageFault("the root itself cannot be copied: name a folder in it");
  const folder = path.posix.dirname(trimEndOf(source, "/"));
  const isFolder = await stat(target).then(
    (info) => info.isDirectory(),
    () => false,
  );
  const destination = isFolder ? path.join(target, name) : target;
  const archive = new PassThrough();
  const failure = new AbortController();
  const signal = AbortSignal.any([session.call.signal, failure.signal]);
  const unpacking = unpackTree(archive, name, destination, reportSkipped(io));
  unpacking.catch((error: unknown) => failure.abort(error)); // awaited below
  const isGnu = await hasGnuTar(copying);
  const more = isGnu ? ["--sparse", "--xattrs", "--xattrs-include=*"] : [];
  const command = ["tar", ...more, "-cf", "-", "-C", folder, "--", name];
  const running = runTar(copying, command, { stdout: archive }, signal);
  await Promise.all([running.finally(() => archive.end()), unpacking]);
}

/** Prints what was left out, up to a limit: a container decides how often. */
function reportSkipped(io: CliIo): (skipped: string) => void {
  let said = 0;
  return (skipped) => {
    said += 1;
    if (said <= maxSaid) io.error(`berth: left out ${printableLine(skipped)}\n`);
    else if (said === maxSaid + 1) io.error("berth: left out more\n");
  };
}

const maxSaid = 100;

/** Whether the container's tar keeps attributes and holes, as GNU's does. Small ones refuse these flags. */
function hasGnuTar(copying: Copying): Promise<boolean> {
  return succeeds(copying, ["tar", "--xattrs", "--sparse", "--version"]);
}

/** Runs the container's tar. When it fails, what it printed on stderr is the message. */
async function runTar(
  { session, containerId, tls }: Copying,
  cmd: readonly string[],
  streams: { readonly stdin?: Readable; readonly stdout: Writable },
  signal: AbortSignal,
): Promise<void> {
  const { RemoteCommand } = await import("./remote-command.ts");
  const stdin = streams.stdin !== undefined;
  const request = { containerId, cmd: [...cmd], stdin, stdout: true, stderr: true };
  const { url } = await session.promptly((call) => session.client(cri).Exec(request, call));
  let complaint = "";
  const stderr = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (complaint.length < 4096) complaint += chunk.toString();
      done();
    },
  });
  const command = new RemoteCommand({ url, streams: { ...streams, stderr }, tls, signal });
  const exitCode = await command.run();
  if (exitCode === 0) return;
  throw fault(
    "FAILED_PRECONDITION",
    `tar in the container ended with ${exitCode}${complaint === "" ? "" : `: ${complaint.trim()}`}`,
  );
}

/** False too where the container has no `test`. */
function isFolderInContainer(copying: Copying, target: string): Promise<boolean> {
  return succeeds(copying, ["test", "-d", target]);
}

/** Faults that do not show how the command ended. */
const noAnswer = ["CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"] as const;

/** Whether a command exits with 0; false too where it cannot be run. */
async function succeeds(
  { session, containerId }: Copying,
  cmd: readonly string[],
): Promise<boolean> {
  try {
    const request = { containerId, cmd: [...cmd], timeout: 10n };
    const ask = (call: Cancellable) => session.client(cri).ExecSync(request, call);
    return (await session.promptly(ask)).exitCode === 0;
  } catch (error) {
    if (isFault(error, ...noAnswer)) throw error;
    return false;
  }
}
