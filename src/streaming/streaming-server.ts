// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault } from "../base/errors.ts";
import { unlessAborted } from "../base/waits.ts";
import type { SessionTarget } from "./messages.ts";
import type {
  AttachTarget,
  ExecTarget,
  LimitedStreamingServer,
  PortForwardTarget,
  StreamingLimits,
  StreamSelection,
} from "./ports.ts";
import { type StreamingServerOptions, StreamingWorkerLink } from "./worker-link.ts";

/** How long the worker may take to make a URL: microseconds of work, in a thread that a busy node may starve. */
const answerMs = 30_000;

/**
 * Starts the streaming worker and resolves when it listens. ALREADY_EXISTS when the address is taken,
 * INVALID_ARGUMENT for a bad address or certificate.
 */
export async function createStreamingServer(
  options: StreamingServerOptions,
): Promise<LimitedStreamingServer> {
  const link = new StreamingWorkerLink(options);
  try {
    await link.listening;
  } catch (error) {
    await link[Symbol.asyncDispose]();
    throw error;
  }
  return new Server(link, options.config.tlsCertFile === "" ? "http" : "https");
}

class Server implements LimitedStreamingServer {
  readonly #link: StreamingWorkerLink;
  readonly #scheme: string;

  constructor(link: StreamingWorkerLink, scheme: string) {
    this.#link = link;
    this.#scheme = scheme;
  }

  get address(): string {
    return this.#link.address;
  }

  async exec(target: ExecTarget, call: Cancellable): Promise<string> {
    checkSelection(target);
    if (target.command.length === 0) {
      throw fault(
        "INVALID_ARGUMENT",
        `cannot exec in container "${target.containerId}": no command`,
      );
    }
    return this.#issue({ kind: "exec", ...target }, call);
  }

  async attach(target: AttachTarget, call: Cancellable): Promise<string> {
    checkSelection(target);
    return this.#issue({ kind: "attach", ...target }, call);
  }

  async portForward(target: PortForwardTarget, call: Cancellable): Promise<string> {
    const bad = target.ports.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
    if (bad !== undefined) throw fault("INVALID_ARGUMENT", `cannot forward port ${bad}`);
    return this.#issue({ kind: "port-forward", ...target }, call);
  }

  limit(limits: StreamingLimits): void {
    this.#link.limit(limits);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }

  async #issue(target: SessionTarget, { signal }: Cancellable): Promise<string> {
    signal.throwIfAborted();
    using limit = deadline(answerMs, "the streaming worker's answer", signal);
    const path = await unlessAborted(this.#link.issue(target), limit.signal);
    return `${this.#scheme}://${this.address}${path}`;
  }
}

function checkSelection({ stdin, stdout, stderr, tty }: StreamSelection): void {
  if (tty && stderr) {
    throw fault("INVALID_ARGUMENT", "tty and stderr exclude each other: a terminal has one output");
  }
  if (!stdin && !stdout && !stderr) {
    throw fault("INVALID_ARGUMENT", "none of stdin, stdout and stderr is wanted");
  }
}
