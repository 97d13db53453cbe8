// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { ProcessFault, run } from "../../base/process.ts";
import { codec } from "../../rpc/codec.ts";
import { nanosOf } from "../../rpc/timestamp.ts";
import type { ProcessExit } from "../ports.ts";
import type { ShimBinary } from "./binary.ts";
import { type Bootstrap, parseBootstrapAnswer } from "./bootstrap-answer.ts";
import {
  type BootstrapDialect,
  type BootstrapFacts,
  bootstrapInput,
  likelyDialect,
  wantsParams,
} from "./bootstrap-input.ts";
import { launchFault } from "./launch-fault.ts";
import type { LaunchRequest, ShimLauncher } from "./launcher.ts";
import { type ShimSurroundings, shimEnvironment, shimFlags } from "./shim-flags.ts";

const startLimitMs = 30_000;
const maxAnswerBytes = 65_536;

/** The helper protocol: `SHIM … start` forks the serving process and prints its address. */
export class HelperLauncher implements ShimLauncher {
  readonly #surroundings: ShimSurroundings;
  /** Files that have turned out to read another dialect than is likely. */
  readonly #wantParams = new Set<string>();

  constructor(surroundings: ShimSurroundings) {
    this.#surroundings = surroundings;
  }

  async launch({ binary, bundle, options }: LaunchRequest, call: Cancellable): Promise<Bootstrap> {
    if (call.signal.aborted) throw toFault(call.signal.reason);
    const { namespace, id } = bundle;
    const facts = {
      namespace,
      id,
      grpcAddress: this.#surroundings.grpcAddress,
      ttrpcAddress: this.#surroundings.ttrpcAddress,
      publishBinary: this.#surroundings.publishBinary ?? "berthd",
      options,
    };
    try {
      const dialect = this.#wantParams.has(binary.path) ? "params" : likelyDialect(binary);
      try {
        return await this.#start(binary, bundle, dialect, facts);
      } catch (error) {
        if (dialect === "params" || !saysWantsParams(error)) throw error;
        this.#wantParams.add(binary.path);
        return await this.#start(binary, bundle, "params", facts);
      }
    } catch (error) {
      throw launchFault(binary, id, error);
    }
  }

  async #start(
    binary: ShimBinary,
    bundle: LaunchRequest["bundle"],
    dialect: BootstrapDialect,
    facts: BootstrapFacts,
  ): Promise<Bootstrap> {
    const flags = shimFlags(this.#surroundings, bundle);
    const { stdout } = await run(binary.path, [...flags, "start"], {
      input: bootstrapInput(dialect, facts),
      cwd: bundle.path,
      env: shimEnvironment(this.#surroundings, bundle.namespace),
      timeoutMs: startLimitMs,
      maxOutputBytes: maxAnswerBytes,
    });
    return parseBootstrapAnswer(stdout);
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
      exitedAtNanos: nanosOf(answer.exitedAt) || nowNanos(),
    };
  }
}

function saysWantsParams(error: unknown): boolean {
  return error instanceof ProcessFault && wantsParams(error.stderrTail);
}
