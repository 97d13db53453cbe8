// SPDX-License-Identifier: Apache-2.0
import { fault } from "./base/errors.ts";
import type { Logger } from "./base/logger.ts";
import type { Config } from "./config/config.ts";

export interface DaemonOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Fires when the daemon shall stop. */
  readonly signal: AbortSignal;
}

/** A serving daemon. Disposing it closes the sockets and leaves pods running. */
export interface Daemon extends AsyncDisposable {
  /** Settles when the daemon has ended, for whatever reason. */
  readonly done: Promise<void>;
}

/** Brings everything up; resolves once the socket serves. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  throw fault(
    "UNIMPLEMENTED",
    `cannot serve on ${options.config.grpc.address}: the daemon is not wired yet`,
  );
}
