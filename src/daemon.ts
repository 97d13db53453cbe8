// SPDX-License-Identifier: Apache-2.0
import type { RuntimeFault } from "./base/errors.ts";
import type { Logger } from "./base/logger.ts";
import { MemoryBudget } from "./base/memory/memory-budget.ts";
import { closeInheritedOnExec } from "./base/os/descriptors.ts";
import { logSlowWork } from "./base/slow-work.ts";
import type { StartStages } from "./base/start-stages.ts";
import { sourceRevision, version } from "./base/version.ts";
import { type Builtins, builtins } from "./builtins.ts";
import type { Config, LogConfig, StartConfig } from "./config/config.ts";
import { layoutOf } from "./config/layout.ts";
import { LiveConfig } from "./config/live-config.ts";
import type { LoadedConfig } from "./config/load.ts";
import { ReloadHistory } from "./config/reload-history.ts";
import { Reloader } from "./config/reloader.ts";
import { holdState } from "./held-state.ts";
import type { EarlyWriter } from "./metadata/sqlite/early-writer.ts";
import { createMetrics, type Metrics } from "./metrics/registry.ts";
import { PluginRegistry } from "./plugin/registry.ts";
import { makePrivate } from "./private-folders.ts";
import { FurtherSockets } from "./rpc/further-sockets.ts";
import type { CallReport } from "./rpc/grpc-calls.ts";
import { GrpcServer } from "./rpc/grpc-server.ts";
import { SocketWatch } from "./rpc/socket-watch.ts";
import type { Environment } from "./wiring/environment.ts";
import { reloadParts } from "./wiring/reload-parts.ts";

export interface DaemonOptions {
  readonly config: Config;
  readonly log: Logger;
  /** What a reload needs of whoever has read `config`. */
  readonly reloading: {
    /** Reads the same files again, with the same flags; throws as loadConfig does. */
    readonly load: () => LoadedConfig;
    readonly setLogLevel: (level: LogConfig["level"]) => void;
  };
  /** The database's thread; the caller ends it where the daemon has not taken it. */
  readonly writer: EarlyWriter;
  /** Is told of the stages that end before it serves. */
  readonly stages: StartStages;
  /** Fires when the daemon shall stop. */
  readonly signal: AbortSignal;
}

/** A serving daemon. Disposing it closes the sockets and leaves pods running. */
export interface Daemon extends AsyncDisposable {
  /** Settles when the daemon has ended, for whatever reason; rejects when it cannot go on. */
  readonly done: Promise<void>;
  /** Takes up changed configuration files; settles when it is done, and logs what fails. */
  reload(): Promise<void>;
}

/**
 * Brings everything up; resolves once the socket serves and every pod is recovered. The socket opens
 * before the pods are back: until then CRI calls answer UNAVAILABLE, which kubelets take well.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, log, reloading, signal, stages, writer } = options;
  if (!closeInheritedOnExec()) log.warn({}, "inherited descriptors cannot be kept from children");
  await using undo = new AsyncDisposableStack();
  {
    const { root, state } = config;
    const fields = () => ({ root, state });
    using _slow = logSlowWork({ log, fields, message: "root and state do not answer yet" });
    undo.use(await holdState(state, { log, signal }));
    await makePrivate(config, log);
  }
  stages.end("folders");
  const revision = sourceRevision();
  const metrics = createMetrics({ version, revision });
  const memory = new MemoryBudget();
  const sockets = new SocketWatch({ log });
  logLimit(memory, log);
  const registry = new PluginRegistry(log);
  const live = new LiveConfig(config);
  const reloads = new ReloadHistory(config);
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {}); // nobody may be waiting yet
  const environment = {
    config,
    live,
    layout: layoutOf(config),
    reloads,
    log,
    metrics,
    memory,
    sockets,
    writer,
    version,
    revision,
    fail: lost.reject,
  };
  const parts = builtins(environment, () => registry.list());
  for (const plugin of parts.plugins) registry.register(plugin);

  undo.use(memory);
  undo.use(registry);
  await registry.start({ signal, vital: parts.vital });
  stages.end("plugins");
  const server = undo.use(serverFor(config, { metrics, memory, log }));
  for (const service of parts.grpc) registry.find(service)?.addTo(server);
  await server.listen();
  const furtherSockets = new FurtherSockets(server);
  await furtherSockets.start(config.grpc.also);
  undo.use(sockets.add(() => server.sockets));
  undo.use(sockets).start();
  stages.end("sockets");
  await recoverPods(parts, registry, log, signal);
  stages.end("pods");

  const { setLogLevel } = reloading;
  const reloader = undo.use(
    new Reloader({
      ...reloadParts({ registry, ...parts, furtherSockets, setLogLevel }),
      live,
      history: reloads,
      load: reloading.load,
      log,
    }),
  );
  const owned = undo.move();
  const { promise: done, resolve } = Promise.withResolvers<void>();
  return {
    done: Promise.race([done, lost.promise]),
    reload: () => reloader.reload(),
    [Symbol.asyncDispose]: async () => {
      await owned.disposeAsync();
      resolve();
    },
  };
}

function serverFor(
  config: StartConfig,
  { metrics, memory, log }: Pick<Environment, "metrics" | "memory" | "log">,
): GrpcServer {
  const { address, uid, gid, maxRecvBytes, maxSendBytes } = config.grpc;
  return new GrpcServer({
    path: address,
    uid,
    gid,
    maxRecvBytes,
    maxSendBytes,
    memory: {
      requests: memory.requests,
      answers: memory.answers,
      maxCalls: memory.shares.calls,
      shortage: (what) => memory.shortage(what),
      onRefused: (path, { code, message }) =>
        log.info({ rpc: path.slice(1), code, reason: message }, "call refused"),
    },
    onCall: (report) => observeCall(report, metrics, log),
  });
}

/** Of a cgroup's limit the operator shall see what was made. */
function logLimit(memory: MemoryBudget, log: Logger): void {
  const { cgroup, limitBytes, heapLimitBytes } = memory.facts();
  if (cgroup !== "") log.info({ cgroup, limitBytes, heapLimitBytes }, "memory is limited");
}

function observeCall(report: CallReport, metrics: Metrics, log: Logger): void {
  const { service, method, code, durationSeconds } = report;
  metrics.recordRpc({ service, method, code, seconds: durationSeconds });
  if (method === "ExecSync") metrics.recordExec("exec_sync");
  if (method === "PullImage" || (method === "Pull" && service === "berth.v1.Images")) {
    metrics.recordImagePull(code === "OK" ? "success" : "failure", durationSeconds);
  }
  logCall(report, log);
}

/** A failure is logged here, once, where it leaves the daemon; successes are the verbs' own to log. */
function logCall({ service, method, code, durationSeconds, error }: CallReport, log: Logger): void {
  const fields = {
    rpc: `${service}/${method}`,
    code,
    durationMs: Math.round(durationSeconds * 1000),
  };
  if (error === undefined) log.debug(fields, "call answered");
  else if (isOurs(code, error)) log.error({ ...fields, err: error }, "call failed");
  else log.info({ ...fields, reason: error.message }, "call refused");
}

/** Some of another's failures have to be UNKNOWN for those who read them: `details.isOthers`. */
function isOurs(code: string, { details }: RuntimeFault): boolean {
  if (details?.["isOthers"] === true) return false;
  return code === "INTERNAL" || code === "UNKNOWN" || code === "DATA_LOSS";
}

async function recoverPods(
  { cri }: Builtins,
  registry: PluginRegistry,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const message = "pods are not recovered yet";
  using _slow = logSlowWork({ log, fields: () => ({}), message });
  const { rest: _, ...summary } = await registry.get(cri.runtime).recover({ signal });
  log.info(summary, "pods recovered");
}
