// SPDX-License-Identifier: Apache-2.0
import { Argument, type Command } from "commander";
import type { CliIo } from "../cli-io.ts";
import { socketPath } from "../socket-path.ts";
import { type Session, withSession } from "./call-options.ts";
import { completionScripts, completions, type WordSource } from "./completion.ts";
import { nriPluginId } from "./nri-commands.ts";

const cri = "runtime.v1.RuntimeService";

/** A key press must not wait for a daemon that does not answer. */
const timeoutMs = 1_000;

export function addCompletionCommands(program: Command, io: CliIo): void {
  program
    .command("completion")
    .description("print the completion script of a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(completionScripts)))
    .addHelpText("after", "\nExamples:\n  berth completion bash > /etc/bash_completion.d/berth\n")
    .action((shell: keyof typeof completionScripts) => io.out(completionScripts[shell]));
  program
    .command("complete [words...]", { hidden: true })
    .description("print what could stand in the place of the last word")
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (words: string[], _flags: object, command: Command) => {
      const source: WordSource = (kind) => daemonWords(kind, words, command, io);
      const found = await completions(program, words, source);
      io.out(found.map((word) => `${word}\n`).join(""));
    });
}

/** Names that the daemon knows; none when it does not answer. */
async function daemonWords(
  kind: Parameters<WordSource>[0],
  words: readonly string[],
  command: Command,
  io: CliIo,
): Promise<readonly string[]> {
  const typed = (...flags: string[]): string | undefined => {
    const at = words.findIndex((word) => flags.includes(word));
    return at < 0 ? undefined : words[at + 1];
  };
  const address = typed("-a", "--address");
  const namespace = typed("-n", "--namespace");
  const env = {
    ...io.env,
    ...(address !== undefined && { BERTH_ADDRESS: socketPath(address) }),
    ...(namespace !== undefined && { BERTH_NAMESPACE: namespace }),
  };
  let found: readonly string[] = [];
  try {
    await withSession(command, { ...io, env }, timeoutMs, async (session) => {
      found = await wordsOf(kind, session);
    });
  } catch {
    // Without an answer nothing is completed.
  }
  return found;
}

async function wordsOf(
  kind: Parameters<WordSource>[0],
  session: Session,
): Promise<readonly string[]> {
  const { scoped } = session;
  switch (kind) {
    case "task": {
      const { tasks } = await session.client("containerd.services.tasks.v1.Tasks").List({}, scoped);
      return tasks.map(({ id }) => id);
    }
    case "container": {
      const containers = await session.containers().containers([], session.call);
      return containers.map(({ id }) => id);
    }
    case "podContainer": {
      const { containers } = await session.client(cri).ListContainers({}, session.call);
      const running = containers.filter(({ state }) => state === "CONTAINER_RUNNING");
      return namesOf(running);
    }
    case "pod": {
      const { items } = await session.client(cri).ListPodSandbox({}, session.call);
      return namesOf(items.filter(({ state }) => state === "SANDBOX_READY"));
    }
    case "podId": {
      const { items } = await session.client(cri).ListPodSandbox({}, session.call);
      return items.map(({ id }) => id);
    }
    case "namespace": {
      const service = session.client("containerd.services.namespaces.v1.Namespaces");
      return (await service.List({}, session.call)).namespaces.map(({ name }) => name);
    }
    case "nriPlugin": {
      const { plugins } = await session.client("berth.v1.Nri").List({}, session.call);
      return plugins.map(nriPluginId);
    }
    case "image": {
      const service = session.client("containerd.services.images.v1.Images");
      return (await service.List({}, scoped)).images.map(({ name }) => name);
    }
  }
}

/** Names; where several share one, their ids instead, which differ. */
function namesOf(
  objects: readonly { readonly id: string; readonly metadata: { readonly name: string } | null }[],
): string[] {
  const counts = new Map<string, number>();
  for (const { metadata } of objects) {
    const name = metadata?.name ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return objects.map(({ id, metadata }) => {
    const name = metadata?.name ?? "";
    return name !== "" && counts.get(name) === 1 ? name : id;
  });
}
