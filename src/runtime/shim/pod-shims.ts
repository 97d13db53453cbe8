// SPDX-License-Identifier: Apache-2.0
import { BriefTurns } from "../../base/brief-turns.ts";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, toFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { settlesWithin, unlessAborted } from "../../base/waits.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import type { Bundle } from "../bundle/bundle.ts";
import type { ShimBinary } from "./binary.ts";
import type { ShimLaunch } from "./choose-launch.ts";
import type { Shim } from "./shim.ts";

/** What a pod's shim is started with. */
export interface PodShimStart {
  readonly binary: ShimBinary;
  readonly options: ProtoAny | null;
  readonly launch: ShimLaunch;
}

export interface PodShimPorts {
  /** Starts the shim in its sandbox's bundle, whose id it is held for. */
  launch(bundle: Bundle, start: PodShimStart, call: Cancellable): Promise<Shim>;
  /** Counts a sandbox or a task out of its shim, which ends with the last. Never rejects. */
  release(shim: Shim, id: string): Promise<void>;
  readonly log: Logger;
}

interface Pod {
  readonly bundle: Bundle;
  readonly life: AbortController;
  /** Somebody waits for its shim, which is then started out of turn. */
  readonly wanted: AbortController;
  /** The latest one, on its way or there. */
  shim: Promise<Shim> | undefined;
}

/** What is not wanted yet starts a few at a time, so that the programs of those that wait come first. */
const ahead = new BriefTurns({ atOnce: 4, bytes: 0 });
/** How long a daemon that stops waits for shims that are being started. */
const letGoMs = 2_000;
/** A shim may die just when it is wanted. */
const attempts = 3;

/**
 * The shims of pods whose sandbox is a process without one. A pod's is started ahead, and serves all its containers;
 * one that has died is replaced when it is wanted. It lives as long as the sandbox, and as any container in it.
 */
export class PodShims implements AsyncDisposable {
  readonly #ports: PodShimPorts;
  readonly #pods = new Map<string, Pod>();
  #isLetGo = false;

  constructor(ports: PodShimPorts) {
    this.#ports = ports;
  }

  /** Begins to start the shim of a new sandbox. One that does not start is tried again when it is wanted. */
  startAhead(bundle: Bundle, start: PodShimStart): void {
    if (this.#isLetGo) return;
    const pod = this.#add(bundle);
    const { signal } = pod.life;
    pod.shim = this.#turn(pod).then(async (turn) => {
      using _turn = turn;
      return await this.#ports.launch(bundle, start, { signal });
    });
    pod.shim.catch((err: unknown) => {
      if (!pod.life.signal.aborted)
        this.#ports.log.warn({ err, sandbox: bundle.id }, "shim was not started ahead");
    });
  }

  /** A sandbox of an earlier daemon. `shim` is held for its id, or rejects where there is none any more. */
  adopt(bundle: Bundle, shim: Promise<Shim>): void {
    const pod = this.#add(bundle);
    pod.shim = shim;
    shim.catch(() => {}); // whoever wants it then starts another
  }

  /** The pod's shim, which a task of that id then holds; undefined where there is no such pod, or it is another's. */
  async hold(
    task: Bundle,
    sandboxId: string,
    start: PodShimStart,
    { signal }: Cancellable,
  ): Promise<Shim | undefined> {
    const pod = this.#pods.get(keyOf(task.namespace, sandboxId));
    if (pod === undefined) return undefined;
    pod.wanted.abort();
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const shim = await unlessAborted(this.#live(pod, start), signal);
      if (shim.binary.path !== start.binary.path) return undefined;
      if (shim.hold(task.id)) return shim;
      await unlessAborted(shim.gone, signal);
    }
    throw fault("UNAVAILABLE", `shim of sandbox "${sandboxId}" ended as soon as it was started`);
  }

  /** The sandbox is gone. Its shim ends, unless a container is left in it. Never rejects. */
  async remove({ namespace, id }: Bundle): Promise<void> {
    const key = keyOf(namespace, id);
    const pod = this.#pods.get(key);
    if (pod === undefined) return;
    this.#pods.delete(key);
    pod.life.abort(fault("CANCELLED", `sandbox "${id}" is gone`));
    const shim = await pod.shim?.catch(() => undefined);
    if (shim !== undefined) await this.#ports.release(shim, id);
  }

  /**
   * Lets go of all; the shims live on. Starts none any more, and waits a moment for those that are on their way: the next
   * daemon is to find them.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isLetGo = true;
    const pods = [...this.#pods.values()];
    for (const { life } of pods) life.abort(fault("UNAVAILABLE", "the daemon is stopping"));
    const onTheirWay = pods.flatMap(({ shim }) => shim ?? []);
    await settlesWithin(Promise.allSettled(onTheirWay), letGoMs);
  }

  #add(bundle: Bundle): Pod {
    const [life, wanted] = [new AbortController(), new AbortController()];
    const pod: Pod = { bundle, life, wanted, shim: undefined };
    this.#pods.set(keyOf(bundle.namespace, bundle.id), pod);
    return pod;
  }

  async #turn({ life, wanted }: Pod): Promise<Disposable | undefined> {
    const signal = AbortSignal.any([life.signal, wanted.signal]);
    const turn = await ahead.acquire({ signal }).catch(() => undefined);
    life.signal.throwIfAborted();
    return turn;
  }

  /** Of several who find none that lives, the first starts the next. */
  async #live(pod: Pod, start: PodShimStart): Promise<Shim> {
    const latest = pod.shim;
    const shim = await latest?.catch(() => undefined);
    if (shim?.isOpen === true) return shim;
    await shim?.gone;
    if (pod.shim !== latest && pod.shim !== undefined) return pod.shim;
    return this.#launch(pod, start);
  }

  #launch(pod: Pod, start: PodShimStart): Promise<Shim> {
    const { signal } = pod.life;
    if (signal.aborted) return Promise.reject(toFault(signal.reason));
    pod.shim = this.#ports.launch(pod.bundle, start, { signal });
    return pod.shim;
  }
}

function keyOf(namespace: string, sandboxId: string): string {
  return `${namespace}/${sandboxId}`;
}
