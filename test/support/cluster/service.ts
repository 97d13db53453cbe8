// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GivenUp, until } from "../until.ts";
import { type Box, onlyChildOf } from "./box.ts";

/** A program in a box that is started again when it ends, as systemd does with `Restart=always`. */
export interface Service extends AsyncDisposable {
  readonly name: string;
  /** As the host counts them; another one after a restart. */
  pid(): Promise<number>;
  /** It comes back by itself. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends it, and it stays away until it is started. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  log(): Promise<string>;
}

export interface ServiceSettings {
  readonly name: string;
  readonly argv: readonly string[];
  /** Where its log goes. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it serves; asked again and again after each start. */
  isUp(): Promise<boolean>;
  readonly patienceMs?: number;
}

const restartAfterMs = 1000;

/** Starts it and waits until it is up. One that ends before that is an error with the end of its log. */
export async function startService(box: Box, settings: ServiceSettings): Promise<Service> {
  const { name, argv, folder, patienceMs = 120_000 } = settings;
  const logFile = path.join(folder, `${name}.log`);
  const log = (): Promise<string> => readFile(logFile, "utf8");
  let child: ChildProcess | undefined;
  let isWanted = false;
  const isRunning = (): boolean =>
    child !== undefined && child.exitCode === null && child.signalCode === null;
  const launch = (): void => {
    const [program = "", ...args] = box.inside(argv);
    const output = openSync(logFile, "a");
    const launched = spawn(program, args, {
      stdio: ["ignore", output, output],
      env: { ...withoutProxies(process.env), ...settings.env },
      cwd: "/",
      detached: true,
    });
    closeSync(output);
    child = launched;
    launched.once("exit", () => {
      void sleep(restartAfterMs).then(() => {
        if (isWanted && child === launched) launch();
      });
    });
  };
  const pid = (): Promise<number> =>
    until(`${name} runs`, () => (isRunning() ? onlyChildOf(child!) : undefined));
  const signalAndWait = async (signal: NodeJS.Signals): Promise<void> => {
    if (!isRunning()) return;
    const ending = child!;
    const gone = once(ending, "exit");
    const target = onlyChildOf(ending);
    if (target !== undefined) process.kill(target, signal);
    const timer = setTimeout(() => {
      const still = onlyChildOf(ending);
      if (still !== undefined) process.kill(still, "SIGKILL");
      else ending.kill("SIGKILL");
    }, 15_000);
    await gone;
    clearTimeout(timer);
  };
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    isWanted = false;
    await signalAndWait(signal);
  };
  const start = async (): Promise<void> => {
    launch();
    await until(
      `${name} serves`,
      async () => {
        if (!isRunning()) throw new GivenUp(`${name} ended: ${(await log()).slice(-4000)}`);
        return settings.isUp();
      },
      { timeoutMs: patienceMs, everyMs: 200 },
    ).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${(await log()).slice(-4000)}`, { cause: error });
    });
    isWanted = true;
  };
  try {
    await start();
  } catch (error) {
    await stop("SIGKILL");
    throw error;
  }
  return {
    name,
    pid,
    log,
    start,
    stop,
    kill: signalAndWait,
    [Symbol.asyncDispose]: () => stop(),
  };
}

/** Nothing that runs in a box has a way out of it. */
function withoutProxies(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/_proxy$/i.test(name)));
}
