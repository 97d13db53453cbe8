// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";
import { stringify } from "smol-toml";
import type { ServiceClient, ServiceName } from "../../src/rpc/service.ts";
import { type CniNetwork, makeCniNetwork } from "./cni.ts";
import { connectPeer } from "./grpc-peer.ts";
import { cniBinFolder, findProgram } from "./lacking.ts";
import { disposeOnSignal } from "./last-resort.ts";
import { assertNothingLeft, sweep, type Territory } from "./leaks.ts";
import { Cri } from "./pods.ts";
import { waitsOf } from "./processes.ts";
import { endChild, freePort } from "./registry.ts";
import { sandboxMode } from "./sandbox-mode.ts";
import { scratch } from "./scratch.ts";
import { GivenUp, until } from "./until.ts";

export interface DaemonOptions {
  /** Merged over the harness's configuration, table by table. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Default "debug". */
  readonly logLevel?: string;
  /** The folder of the berthd to start: by default the checkout's bin, or what BERTH_TEST_PROGRAMS names. */
  readonly programs?: string;
  /** A module to run instead of bin/berthd. */
  readonly entry?: string;
  /** A `cgroup.procs` file: the daemon starts in that cgroup. */
  readonly cgroupProcs?: string;
  /**
   * Which OCI runtime pods have: runc, whatever the choice would be here (test/e2e/default-runtime.test.ts), or the crun
   * that the daemon chooses: it serves when it has. Left out: what BERTH_TEST_OCI_RUNTIME says, or runc.
   */
  readonly ociRuntime?: "runc" | "crun";
  /** More variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** One line of the daemon's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** A real berthd with roots, sockets and a network of its own, below a folder with a space in it. */
export interface Daemon extends AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  readonly configFile: string;
  /** `http://127.0.0.1:PORT`. */
  readonly metricsUrl: string;
  readonly network: CniNetwork;
  readonly territory: Territory;
  readonly cri: Cri;
  /** The daemon's process id; another one after a restart. */
  pid(): number;
  client<S extends ServiceName>(service: S): ServiceClient<S>;
  /** Starts it again after kill9 or stop; waits until it serves. */
  start(): Promise<void>;
  /** SIGTERM or another signal, and the exit code that followed. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  kill9(): Promise<void>;
  /** Everything it wrote to stderr since the first start. */
  log(): Promise<string>;
  logLines(): Promise<LogLine[]>;
  /** Removes all pods, stops the daemon, and fails when anything of them is left. */
  assertCleanEnd(): Promise<void>;
}

function runtimeToTest(wanted = process.env["BERTH_TEST_OCI_RUNTIME"]): RuntimeToTest {
  if (wanted !== "crun") return { config: { default_handler: "runc" }, isChosen: false };
  return { config: { default_handler: "" }, isChosen: true };
}

interface RuntimeToTest {
  readonly config: object;
  /** There is a choice to wait for. */
  readonly isChosen: boolean;
}

const compileCache = path.resolve(import.meta.dirname, "../../build/compile-cache");
const usualPrograms =
  process.env["BERTH_TEST_PROGRAMS"] ?? path.resolve(import.meta.dirname, "../../bin");

/** Starts berthd. Disposing removes pods, stops the daemon and sweeps what a failed test left. */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch());
  const network = undo.use(await makeCniNetwork(path.join(home.path, "cni"), home.tag));
  const state = path.join(home.path, "state");
  const socket = path.join(state, "berthd.sock");
  const port = await freePort();
  const territory: Territory = {
    folder: home.path,
    socket,
    state,
    cgroupParent: `/berth-e2e-${home.tag}`,
    network,
    sandboxes: new Set(),
  };
  const toTest = runtimeToTest(options.ociRuntime);
  const configFile = path.join(home.path, "config.toml");
  await writeFile(
    configFile,
    stringify(
      merge(
        {
          root: path.join(home.path, "root"),
          state,
          grpc: { address: socket },
          metrics: { address: `127.0.0.1:${port}` },
          runtime: toTest.config,
          cni: { conf_dir: network.confDir, bin_dirs: [cniBinFolder()] },
          nri: {
            socket_path: path.join(home.path, "nri/nri.sock"),
            plugin_path: path.join(home.path, "nri/plugins"),
            plugin_config_path: path.join(home.path, "nri/conf.d"),
          },
          registry: { config_path: path.join(home.path, "certs.d") },
          cri: { sandbox: sandboxMode },
          log: { level: options.logLevel ?? "debug", format: "json" },
        },
        options.config ?? {},
      ),
    ),
  );
  const logFile = path.join(home.path, "berthd.log");
  let child: ChildProcess | undefined;
  undo.defer(() => sweep(territory));
  undo.defer(async () => {
    if (child) await endChild(child, 60_000);
  });
  const peer = undo.use(connectPeer(socket));
  const cri = new Cri(peer, {
    logRoot: path.join(home.path, "logs"),
    cgroupParent: territory.cgroupParent,
  });
  const start = async (): Promise<void> => {
    const log = openSync(logFile, "a");
    // With a death signal the daemon does not outlive a test process that was killed.
    const program = options.entry
      ? [process.execPath, options.entry]
      : [path.join(options.programs ?? usualPrograms, "berthd")];
    const launcher = findProgram("setpriv") ? ["setpriv", "--pdeathsig", "KILL"] : [];
    const { cgroupProcs } = options;
    const mover = cgroupProcs ? ["sh", "-c", 'echo $$ >"$0" && exec "$@"', cgroupProcs] : [];
    const argv = [...mover, ...launcher, ...program, "serve", "--config", configFile];
    const started = spawn(argv[0]!, argv.slice(1), {
      // As bin/berthd has it: compiling anew costs half a second of each start.
      env: { NODE_COMPILE_CACHE: compileCache, ...process.env, ...options.env },
      stdio: ["ignore", log, log],
      cwd: "/",
      // Ctrl-C is for the test, which removes the pods before it ends the daemon.
      detached: true,
    });
    closeSync(log);
    child = started;
    await until(
      "berthd serves",
      async () => {
        if (started.exitCode !== null || started.signalCode !== null) {
          throw new GivenUp(`berthd ended: ${await readFile(logFile, "utf8")}`);
        }
        await cri.runtime.Version({});
        const { status, info } = await cri.runtime.Status({ verbose: toTest.isChosen });
        if (/"by":"no choice yet"/.test(info["defaultRuntime"] ?? "")) return false;
        return status?.conditions.find((it) => it.type === "RuntimeReady")?.status;
      },
      { timeoutMs: 120_000 },
    ).catch(async (error: unknown) => {
      if (error instanceof GivenUp) throw error;
      const last = (await readFile(logFile, "utf8")).split("\n").slice(-40).join("\n");
      const asked = `a new connection: ${await connects(socket)}`;
      const text = [String(error), asked, waitsOf(({ pid }) => pid === started.pid), last].join(
        "\n",
      );
      throw new Error(text, { cause: error });
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ending = child;
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return null;
    const gone = new Promise<number | null>((resolve) => ending.once("exit", resolve));
    ending.kill(signal);
    const timer = setTimeout(() => ending.kill("SIGKILL"), 120_000);
    const code = await gone;
    clearTimeout(timer);
    return code;
  };
  await start();
  undo.defer(() => cri.removeAllPods().catch(() => {}));
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  const log = (): Promise<string> => readFile(logFile, "utf8");
  return {
    folder: home.path,
    socket,
    configFile,
    metricsUrl: `http://127.0.0.1:${port}`,
    network,
    territory: { ...territory, sandboxes: cri.seen },
    cri,
    pid: () => child!.pid!,
    client: (service) => peer.client(service),
    start,
    stop: (signal = "SIGTERM") => end(signal),
    kill9: async () => {
      await end("SIGKILL");
    },
    log,
    logLines: async () =>
      (await log())
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as LogLine),
    assertCleanEnd: async () => {
      await cri.removeAllPods();
      await end("SIGTERM");
      await assertNothingLeft({ ...territory, sandboxes: cri.seen });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Whether somebody listens: the client that has waited may be what hangs. */
function connects(socketPath: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(socketPath, () => resolve("accepted"));
  socket.once("error", (error) => resolve(error.message));
  return promise.finally(() => socket.destroy());
}

type Table = Readonly<Record<string, unknown>>;

function merge(base: Table, over: Table): Table {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isTable(below) && isTable(value) ? merge(below, value) : value;
  }
  return merged;
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
