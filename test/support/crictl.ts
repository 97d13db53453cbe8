// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { Daemon } from "./daemon.ts";
import { must, type RunResult, run } from "./run.ts";

const patience = { timeoutMs: 180_000 } as const;

/** crictl against one daemon, with a configuration of its own. */
export interface Crictl {
  /** Its standard output; a non-zero exit is an error. */
  (...args: readonly string[]): Promise<string>;
  run(...args: readonly string[]): Promise<RunResult>;
  json<T>(...args: readonly string[]): Promise<T>;
  /** Writes a JSON file for crictl's arguments that are files. */
  file(name: string, content: object): Promise<string>;
}

export async function makeCrictl(program: string, daemon: Daemon, folder: string): Promise<Crictl> {
  const config = path.join(folder, "crictl.yaml");
  const endpoint = JSON.stringify(`unix://${daemon.socket}`);
  await writeFile(
    config,
    `runtime-endpoint: ${endpoint}\nimage-endpoint: ${endpoint}\ntimeout: 120\n`,
  );
  const argv = (args: readonly string[]): string[] => ["--config", config, ...args];
  const crictl = (...args: readonly string[]): Promise<string> =>
    must(program, argv(args), patience);
  return Object.assign(crictl, {
    run: (...args: readonly string[]) => run(program, argv(args), patience),
    json: async <T>(...args: readonly string[]) => JSON.parse(await crictl(...args)) as T,
    file: async (name: string, content: object) => {
      const file = path.join(folder, name);
      await writeFile(file, JSON.stringify(content));
      return file;
    },
  });
}
