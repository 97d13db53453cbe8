// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import { run } from "../../base/process.ts";
import { codec } from "../../rpc/codec.ts";
import type { ProcessExit } from "../ports.ts";
import { nanosOf } from "../timestamp.ts";
import { type Bootstrap, parseBootstrapAnswer } from "./bootstrap-answer.ts";
import { bootstrapInput } from "./bootstrap-input.ts";
import { launchFault } from "./launch-fault.ts";
import type { LaunchRequest, ShimLauncher } from "./launcher.ts";
import { type ShimSurroundings, shimEnvironment, shimFlags } from "./shim-flags.ts";

const startLimitMs = 30_000;
const maxAnswerBytes = 65_536;

/** The helper protocol: `SHIM … start` forks the serving process and prints its address. */
export class HelperLauncher implements ShimLauncher {
  readonly #surroundings: ShimSurroundings;

  constructor(surroundings: ShimSurroundings) {
    this.#surroundings = surroundings;
  }

  async launch({ binary, bundle, options }: LaunchRequest, call: Cancellable): Promise<Bootstrap> {
    if (call.signal.aborted) throw toFault(call.signal.reason);
    const { namespace, id } = bundle;
    const input = bootstrapInput(binary, {
      namespace,
      id,
      grpcAddress: this.#surroundings.grpcAddress,
      ttrpcAddress: this.#surroundings.ttrpcAddress,
      publishBinary: this.#surroundings.publishBinary ?? "berthd",
      options,
    });
    try {
      const { stdout } = await run(
        binary.path,
        [...shimFlags(this.#surroundings, bundle), "start"],
        {
          input,
          cwd: bundle.path,
          env: shimEnvironment(this.#surroundings, namespace),
          timeoutMs: startLimitMs,
          maxOutputBytes: maxAnswerBytes,
        },
      );
      return parseBootstrapAnswer(stdout);
    } catch (error) {
      throw launchFault(binary, id, error);
    }
  }

  async cleanUp(
    { binary, bundle }: Omit<LaunchRequest, "options" | "isDirect">,
    { signal }: Cancellable,
  ): Promise<ProcessExit> {
    // The shim takes the bundle from the working directory and -id, not from -bundle.
    const { stdout } = await run(
      binary.path,
      [...shimFlags(this.#surroundings, bundle), "-bundle", bundle.path, "delete"],
      {
        cwd: bundle.path,
        env: shimEnvironment(this.#surroundings, bundle.namespace),
        signal,
        maxOutputBytes: maxAnswerBytes,
      },
    );
    const answer = codec("containerd.task.v3.DeleteResponse").decode(stdout);
    return {
      pid: answer.pid,
      exitStatus: answer.exitStatus,
      exitedAtNanos: nanosOf(answer.exitedAt) || BigInt(Date.now()) * 1_000_000n,
    };
  }
}
