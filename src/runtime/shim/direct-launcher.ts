// SPDX-License-Identifier: Apache-2.0
import { closeSync, mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, toFault } from "../../base/errors.ts";
import { listenUnix } from "../../base/os/unix-listener.ts";
import { spawnDetached } from "../../base/process.ts";
import { type Bootstrap, socketPathOf } from "./bootstrap-answer.ts";
import { removeDeadSocket } from "./dead-socket.ts";
import { launchFault } from "./launch-fault.ts";
import type { LaunchRequest } from "./launcher.ts";
import { type ShimSurroundings, shimEnvironment, shimFlags } from "./shim-flags.ts";
import { runcShimAddress } from "./socket-address.ts";

/**
 * Starts the serving process of a runc shim itself, without the helper: it inherits a socket that
 * listens already as descriptor 3, so a connection waits in the backlog until the shim is up. That
 * saves an exec of the program, and the daemon is the parent that reaps it.
 *
 * The socket is where the helper would put it, so what knows the one finds the other. `address` in
 * the bundle makes the shim remove it when it shuts down; Shim.end does for one that was killed.
 */
export class DirectLauncher {
  readonly #surroundings: ShimSurroundings;

  constructor(surroundings: ShimSurroundings) {
    this.#surroundings = surroundings;
  }

  async launch({ binary, bundle }: LaunchRequest, call: Cancellable): Promise<Bootstrap> {
    if (call.signal.aborted) throw toFault(call.signal.reason);
    const { namespace, id } = bundle;
    const address = runcShimAddress(this.#surroundings.grpcAddress, namespace, id);
    // A hint: connectShim finds out. Shims up to 1.7 know version 2 alone.
    const version = binary.version !== undefined && binary.version[0] < 2 ? 2 : 3;
    const bootstrap: Bootstrap = { version, address, protocol: "ttrpc" };
    const file = socketPathOf(address);
    bundle.write("address", address);
    const listener = await listen(file);
    if (listener === undefined) return bootstrap;
    try {
      spawnDetached(binary.path, shimFlags(this.#surroundings, bundle), {
        cwd: bundle.path,
        env: shimEnvironment(this.#surroundings, namespace),
        listener,
      });
      return bootstrap;
    } catch (error) {
      await rm(file, { force: true });
      throw launchFault(binary, id, error);
    } finally {
      closeSync(listener);
    }
  }
}

/** The listening socket; undefined when a live shim serves there already. */
async function listen(file: string): Promise<number | undefined> {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o711 });
  try {
    return listenUnix(file);
  } catch (error) {
    if (errnoOf(error) !== "EADDRINUSE") throw error;
  }
  await removeDeadSocket(file);
  try {
    return listenUnix(file);
  } catch (error) {
    if (errnoOf(error) !== "EADDRINUSE") throw error;
    return undefined;
  }
}
