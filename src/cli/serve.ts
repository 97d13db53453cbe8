// SPDX-License-Identifier: Apache-2.0

import os from "node:os";
import { isAbort, isFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { giveBackInQuiet } from "../base/memory/quiet-give-back.ts";
import { StartStages } from "../base/start-stages.ts";
import { startTimer } from "../base/timers.ts";
import type { LoadedConfig } from "../config/load.ts";
import { missingFiles } from "../config/missing-files.ts";
import { createLog } from "../log/logger.ts";
import { EarlyWriter } from "../metadata/sqlite/early-writer.ts";
import type { CliIo } from "./cli-io.ts";
import { ignoreSignals } from "./ignored-signals.ts";
import { reloadSignal } from "./reload-signal.ts";
import { openNotifySocket } from "./service-notify.ts";
import { startWatchdog } from "./watchdog.ts";

/**
 * Runs the daemon until a signal asks it to stop, then closes it. `load` reads the configuration, now
 * and for each reload. The daemon is imported only here, so that `berthd config check` and `--help` need
 * none of it.
 */
export async function serve(load: () => LoadedConfig, io: CliIo): Promise<void> {
  using hangup = reloadSignal();
  const stages = new StartStages();
  const loaded = load();
  const { config, sources } = loaded;
  const { log, setLevel } = await createLog(config.log);
  using _ignored = ignoreSignals((signal) => {
    log.info({ signal }, "signal ignored: berth operations and berth status tell what berthd does");
  });
  const warnings = [...loaded.warnings, ...(await missingFiles(loaded))];
  for (const warning of warnings) log.warn({ warning }, "configuration warning");
  log.info(
    { sources, root: config.root, state: config.state, address: config.grpc.address },
    "berthd is starting",
  );

  stages.end("configuration");
  using stop = stopSignal();
  hangup.onClosedTerminal(() => stop.request("SIGHUP"));
  const notify = openNotifySocket(io.env["NOTIFY_SOCKET"], log);
  try {
    using writer = new EarlyWriter();
    const { startDaemon } = await import("../daemon.ts");
    stages.end("code");
    const reloading = { load, setLogLevel: setLevel };
    await using daemon = await startDaemon({
      config,
      log,
      reloading,
      stages,
      writer,
      signal: stop.signal,
    });
    notify("READY=1");
    using _watchdog = startWatchdog(io.env, notify);
    const { address, also } = config.grpc;
    const startMs = stages.facts();
    log.info({ address, ...(also.length > 0 && { also }), startMs }, "berthd is serving");
    using _quiet = giveBackInQuiet((err) => log.debug({ err }, "memory is not given back"));
    hangup.onReload(() => {
      notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
      void daemon.reload().then(() => stop.signal.aborted || notify("READY=1")); // cannot reject
    });
    await Promise.race([daemon.done, stop.requested]);
    hangup.onReload(() => {});
    notify("STOPPING=1");
    log.info({ reason: stop.reason() }, "berthd is stopping; pods keep running");
  } catch (error) {
    // The daemon was asked to stop while it was still starting: that is no failure.
    if (!(stop.signal.aborted && (isAbort(error) || isFault(error, "CANCELLED")))) {
      exitAnyway(log);
      throw error;
    }
  }
  log.info({}, "berthd has stopped");
  exitAnyway(log);
}

/** Ends the process where a handle that somebody forgot keeps a stopped daemon alive. */
function exitAnyway(log: Logger): void {
  startTimer(() => {
    log.error({ resources: process.getActiveResourcesInfo() }, "something kept the process alive");
    // oxlint-disable-next-line unicorn/no-process-exit -- everything was closed above; this is a bug, and it is logged
    process.exit();
  }, 5_000).unref();
}

interface StopSignal extends Disposable {
  readonly signal: AbortSignal;
  /** Resolves at the first of these signals. */
  readonly requested: Promise<void>;
  reason(): string;
  /** As if the signal had come. */
  request(name: NodeJS.Signals): void;
}

const stopSignals = ["SIGTERM", "SIGINT"] as const;

/** Turns the first of these signals into an abort; the second one ends the process at once. */
function stopSignal(): StopSignal {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<void>();
  let first = "";
  const onSignal = (name: NodeJS.Signals): void => {
    if (first !== "") {
      // oxlint-disable-next-line unicorn/no-process-exit -- asked for twice: no cleanup that could hang
      process.exit(128 + os.constants.signals[name]);
    }
    first = name;
    resolve();
    controller.abort(new DOMException(`berthd got ${name}`, "AbortError"));
  };
  for (const name of stopSignals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    requested: promise,
    reason: () => first || "the daemon ended by itself",
    request: onSignal,
    [Symbol.dispose]: () => {
      for (const name of stopSignals) process.off(name, onSignal);
    },
  };
}
