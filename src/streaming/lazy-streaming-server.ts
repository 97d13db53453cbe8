// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { unlessAborted } from "../base/waits.ts";
import type { StreamingConfig } from "../config/config.ts";
import type {
  AttachTarget,
  ExecTarget,
  LimitedStreamingServer,
  PortForwardTarget,
  StreamingLimits,
} from "./ports.ts";

/**
 * Starts the server now where its configuration can be wrong, which the operator shall learn at the
 * start: a port of their choice, a certificate. All else waits for the first session.
 */
export async function startOrWait(
  { address, tlsCertFile }: Pick<StreamingConfig, "address" | "tlsCertFile">,
  start: () => Promise<LimitedStreamingServer>,
): Promise<LimitedStreamingServer> {
  const canWait = address.endsWith(":0") && tlsCertFile === "";
  return canWait ? new LazyStreamingServer(start) : start();
}

/**
 * A streaming server that starts with its first session: its thread takes some 12 MiB and a third of a
 * second, and many nodes never see a session. One that could not start is tried again.
 */
export class LazyStreamingServer implements LimitedStreamingServer {
  readonly #start: () => Promise<LimitedStreamingServer>;
  #starting: Promise<LimitedStreamingServer> | undefined;
  #started: LimitedStreamingServer | undefined;
  #isClosed = false;

  constructor(start: () => Promise<LimitedStreamingServer>) {
    this.#start = start;
  }

  /** "" until the first session. */
  get address(): string {
    return this.#started?.address ?? "";
  }

  async exec(target: ExecTarget, call: Cancellable): Promise<string> {
    return (await unlessAborted(this.#server(), call.signal)).exec(target, call);
  }

  async attach(target: AttachTarget, call: Cancellable): Promise<string> {
    return (await unlessAborted(this.#server(), call.signal)).attach(target, call);
  }

  async portForward(target: PortForwardTarget, call: Cancellable): Promise<string> {
    return (await unlessAborted(this.#server(), call.signal)).portForward(target, call);
  }

  /** For the server that runs, and for one that starts later. */
  limit(limits: StreamingLimits): void {
    this.#starting?.then(
      (server) => server.limit(limits),
      () => {}, // its callers get the error
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const server = await this.#starting?.catch(() => undefined); // its callers get the error
    await server?.[Symbol.asyncDispose]();
  }

  async #server(): Promise<LimitedStreamingServer> {
    if (this.#isClosed) throw fault("UNAVAILABLE", "streaming server is closed");
    this.#starting ??= this.#start();
    const starting = this.#starting;
    try {
      this.#started = await starting;
      return this.#started;
    } catch (error) {
      if (this.#starting === starting) this.#starting = undefined;
      throw error;
    }
  }
}
