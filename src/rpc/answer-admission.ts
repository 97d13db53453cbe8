// SPDX-License-Identifier: Apache-2.0
import type { RuntimeFault } from "../base/errors.ts";
import type { MemoryPool, Reservation } from "../base/memory/memory-pool.ts";
import { settlesWithin } from "../base/waits.ts";
import { answerCost, type ServedCall } from "./grpc-calls.ts";
import { leastSizeOf } from "./message-size.ts";
import type { ServiceMethod } from "./service-methods.ts";

export interface AnswerMemory {
  readonly answers: MemoryPool;
  /** A fault about `what`, which takes much, while next to no memory is left. */
  readonly shortage: (what: string) => RuntimeFault | undefined;
}

/** An answer that has its memory, until the client has it or has gone. */
export interface AdmittedAnswer {
  readonly answer: unknown;
  readonly leastBytes: number;
}

/** How long lists wait for the first of their kind. */
const measureMs = 5_000;

type Make = () => Promise<unknown>;
type Take = (bytes: number) => Promise<Reservation>;

/** Answers that take more are refused while memory is short. */
const largeCost = 1024 * 1024;
/** Lists, which are asked for again and again, where they take more than this part of what all answers may. */
const largePart = 1 / 128;

/**
 * Finds memory for unary answers. Those that wait for it have no answer in hand: a list takes what the one
 * before took before it is made, and what only reads is made again when its turn has come.
 */
export class AnswerAdmission {
  readonly #memory: AnswerMemory;
  /** What the lists that are asked for again and again took last time, by path. */
  readonly #lastCosts = new Map<string, number>();
  /** The first lists of their kind, until it is known what they take. */
  readonly #firsts = new Map<string, Promise<void>>();

  constructor(memory: AnswerMemory) {
    this.#memory = memory;
  }

  /** RESOURCE_EXHAUSTED when there is no memory for it in time. */
  async made(method: ServiceMethod, served: ServedCall, make: Make): Promise<AdmittedAnswer> {
    const take: Take = (bytes) =>
      this.#memory.answers.take(bytes, `answer of ${method.path}`, served.context);
    const made = await this.#madeAtOnce(method, served, make, take);
    if (typeof made !== "number") return made;
    using share = new DisposableStack();
    share.use(await take(made));
    const answer = await make();
    keep(share.move(), served);
    return { answer, leastBytes: leastSizeOf(answer) };
  }

  /** The answer; or what it takes when it is to be made again, and nothing of it is kept until then. */
  async #madeAtOnce(
    { path, name }: ServiceMethod,
    served: ServedCall,
    make: Make,
    take: Take,
  ): Promise<AdmittedAnswer | number> {
    const { answers } = this.#memory;
    const isList = name.startsWith("List");
    using early = new DisposableStack();
    if (isList) early.defer(await this.#turnToMeasure(path));
    const expected = isList ? (this.#lastCosts.get(path) ?? 0) : 0;
    const large = isList ? Math.min(largeCost, answers.limitBytes * largePart) : largeCost;
    if (expected >= large) this.#refuseIfShort(`answer of ${path}`);
    if (expected > 0) early.use(await take(expected));
    const answer = await make();
    using owned = new DisposableStack();
    owned.use(disposableOf(answer));
    const leastBytes = leastSizeOf(answer);
    const cost = answerCost(leastBytes, answers);
    if (isList) this.#lastCosts.set(path, cost);
    if (cost >= large) this.#refuseIfShort(`answer of ${path} with ${leastBytes} bytes`);
    if (cost > expected) {
      early.dispose();
      const atOnce = answers.tryTake(cost);
      if (atOnce === undefined && isRead(name)) return cost;
      keep(atOnce ?? (await take(cost)), served);
    } else if (cost > 0) keep(early.move(), served);
    owned.move();
    return { answer, leastBytes };
  }

  #refuseIfShort(what: string): void {
    const refusal = this.#memory.shortage(what);
    if (refusal) throw refusal;
  }

  /** Until one has been made nobody knows what a list takes: the others wait for it, for a moment. */
  async #turnToMeasure(path: string): Promise<() => void> {
    if (this.#lastCosts.has(path)) return () => {};
    const first = this.#firsts.get(path);
    if (first !== undefined) {
      await settlesWithin(first, measureMs);
      return () => {};
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#firsts.set(path, promise);
    return () => {
      this.#firsts.delete(path);
      resolve();
    };
  }
}

function keep(share: Disposable, served: ServedCall): void {
  served.onceOver(() => share[Symbol.dispose]());
  if (served.wasCancelled) share[Symbol.dispose]();
}

/** True for methods that change nothing: their answer can be made again. */
function isRead(method: string): boolean {
  return /^(?:List|Get)|Status$|Stats$/.test(method);
}

/** An answer that owns memory of a pool. Dispose of it once it is encoded or given up. */
export function disposableOf(answer: unknown): Disposable | undefined {
  const isOwner = typeof answer === "object" && answer !== null && Symbol.dispose in answer;
  return isOwner ? (answer as Disposable) : undefined;
}
