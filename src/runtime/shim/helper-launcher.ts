// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, toFault } from "../../base/errors.ts";
import { childEnvironment, ProcessFault, run } from "../../base/process.ts";
import { codec } from "../../rpc/codec.ts";
import type { Bundle } from "../bundle.ts";
import type { ProcessExit } from "../ports.ts";
import { nanosOf } from "../timestamp.ts";
import type { ShimBinary } from "./binary.ts";
import { type Bootstrap, parseBootstrapAnswer } from "./bootstrap-answer.ts";
import { bootstrapInput } from "./bootstrap-input.ts";
import type { LaunchRequest, ShimLauncher } from "./launcher.ts";

const startLimitMs = 30_000;
const maxAnswerBytes = 65_536;

export interface HelperLauncherOptions {
  /** Address of our gRPC socket: shims hash it into their socket's name. */
  readonly grpcAddress: string;
  /** Socket of the event service; a shim that is not told loses its events silently. */
  readonly ttrpcAddress: string;
  /** Program that very old shims run to publish an event. */
  readonly publishBinary?: string;
}

/** The helper protocol: `SHIM … start` forks the serving process and prints its address. */
export class HelperLauncher implements ShimLauncher {
  readonly #grpcAddress: string;
  readonly #ttrpcAddress: string;
  readonly #publishBinary: string;

  constructor(options: HelperLauncherOptions) {
    this.#grpcAddress = options.grpcAddress;
    this.#ttrpcAddress = options.ttrpcAddress;
    this.#publishBinary = options.publishBinary ?? "berthd";
  }

  async launch({ binary, bundle, options }: LaunchRequest, call: Cancellable): Promise<Bootstrap> {
    if (call.signal.aborted) throw toFault(call.signal.reason);
    const { namespace, id } = bundle;
    const input = bootstrapInput(binary, {
      namespace,
      id,
      grpcAddress: this.#grpcAddress,
      ttrpcAddress: this.#ttrpcAddress,
      publishBinary: this.#publishBinary,
      options,
    });
    try {
      const { stdout } = await run(binary.path, [...this.#flags(bundle), "start"], {
        input,
        cwd: bundle.path,
        env: this.#environment(namespace),
        timeoutMs: startLimitMs,
        maxOutputBytes: maxAnswerBytes,
      });
      return parseBootstrapAnswer(stdout);
    } catch (error) {
      throw launchFault(binary, id, error);
    }
  }

  async cleanUp(
    { binary, bundle }: Omit<LaunchRequest, "options">,
    { signal }: Cancellable,
  ): Promise<ProcessExit> {
    // The shim takes the bundle from the working directory and -id, not from -bundle.
    const { stdout } = await run(
      binary.path,
      [...this.#flags(bundle), "-bundle", bundle.path, "delete"],
      {
        cwd: bundle.path,
        env: this.#environment(bundle.namespace),
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

  #flags(bundle: Bundle): string[] {
    const { namespace, id } = bundle;
    return ["-namespace", namespace, "-address", this.#grpcAddress].concat(
      ["-publish-binary", this.#publishBinary],
      ["-id", id],
    );
  }

  #environment(namespace: string): Record<string, string | undefined> {
    return {
      ...childEnvironment(undefined),
      GOMAXPROCS: "2",
      MAX_SHIM_VERSION: "2",
      TTRPC_ADDRESS: this.#ttrpcAddress,
      GRPC_ADDRESS: this.#grpcAddress,
      NAMESPACE: namespace,
    };
  }
}

function launchFault(binary: ShimBinary, id: string, error: unknown): Error {
  if (!(error instanceof ProcessFault))
    return error instanceof Error ? error : new Error(String(error));
  const said = error.stderrTail || error.stdout.toString("utf8").trim() || error.message;
  const code = error.code === "UNKNOWN" ? "INTERNAL" : error.code;
  return fault(code, `cannot start shim ${binary.path} of task "${id}": ${said}`, { cause: error });
}
