// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { WebSocket } from "ws";
import { until } from "../support/until.ts";

/**
 * A look into a running daemon by V8's inspector: nothing of the daemon is changed for it. Start the daemon with
 * `inspectorOptions(port)` in NODE_OPTIONS.
 */
export class Inspector implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      const { id, result, error } = JSON.parse(data.toString()) as {
        id?: number;
        result?: unknown;
        error?: { message: string };
      };
      const waiting = this.#waiting.get(id ?? 0);
      this.#waiting.delete(id ?? 0);
      if (error) waiting?.reject(new Error(`inspector: ${error.message}`));
      else waiting?.resolve(result);
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the inspector is gone"));
    });
  }

  static async connect(port: number): Promise<Inspector> {
    const url = await until("the inspector answers", async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/json/list`, {
        headers: { connection: "close" },
      });
      const [target] = (await answer.json()) as { webSocketDebuggerUrl: string }[];
      return target?.webSocketDebuggerUrl;
    });
    const socket = new WebSocket(url, { perMessageDeflate: false });
    await once(socket, "open");
    return new Inspector(socket);
  }

  /** What an expression gives in the daemon's main thread, by JSON. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.call<Evaluated>("Runtime.evaluate", {
      expression,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(`inspector: ${exceptionDetails.exception?.description}`);
    return result.value as T;
  }

  /** How many objects live in the main thread, by the name of their class. Collects all garbage before. */
  async countObjects(): Promise<Readonly<Record<string, number>>> {
    const objectGroup = "count";
    const { result } = await this.call<Evaluated>("Runtime.evaluate", {
      expression: "Object.prototype",
      objectGroup,
    });
    const { objects } = await this.call<{ objects: { objectId: string } }>("Runtime.queryObjects", {
      prototypeObjectId: result.objectId,
      objectGroup,
    });
    const counted = await this.call<Evaluated>("Runtime.callFunctionOn", {
      objectId: objects.objectId,
      functionDeclaration: countByClass,
      returnByValue: true,
    });
    await this.call("Runtime.releaseObjectGroup", { objectGroup });
    return counted.result.value as Record<string, number>;
  }

  async collectGarbage(): Promise<void> {
    await this.call("HeapProfiler.collectGarbage", {});
  }

  async call<T>(method: string, params: object): Promise<T> {
    this.#calls += 1;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#calls, waiting);
    this.#socket.send(JSON.stringify({ id: this.#calls, method, params }));
    return (await waiting.promise) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#socket, "close");
    this.#socket.close();
    await closed;
  }
}

/** Runs in the daemon, over an array of all objects. */
const countByClass = `function () {
  const prototypes = new Map();
  for (const object of this) {
    const prototype = Object.getPrototypeOf(object);
    prototypes.set(prototype, (prototypes.get(prototype) ?? 0) + 1);
  }
  const names = {};
  for (const [prototype, count] of prototypes) {
    const name = Object.getOwnPropertyDescriptor(prototype ?? {}, "constructor")?.value?.name;
    if (typeof name === "string") names[name] = (names[name] ?? 0) + count;
  }
  return names;
}`;

export function inspectorOptions(port: number): string {
  return `--inspect=127.0.0.1:${port}`;
}

interface Evaluated {
  readonly result: { readonly value?: unknown; readonly objectId?: string };
  readonly exceptionDetails?: { readonly exception?: { readonly description?: string } };
}
