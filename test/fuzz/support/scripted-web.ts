// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import https from "node:https";
import { Duplex } from "node:stream";

/** A request as a server saw it. */
export interface Heard {
  /** `https://registry.test`. */
  readonly origin: string;
  readonly method: string;
  readonly path: string;
  readonly headers: string;
  readonly body: string;
}

/**
 * All servers there are, without a network: every request of this process's HTTP clients is answered by the
 * next bytes of the script, after which the server hangs up. Disposing gives the network back.
 */
export class ScriptedWeb implements Disposable {
  readonly heard: Heard[] = [];
  readonly #connections = new Set<Duplex>();
  readonly #script: Buffer[];
  readonly #before = [http.Agent.prototype, https.Agent.prototype].map((prototype) => ({
    prototype,
    createConnection: Object.getOwnPropertyDescriptor(prototype, "createConnection"),
  }));

  constructor(script: readonly Buffer[]) {
    this.#script = [...script];
    for (const { prototype } of this.#before) {
      const scheme = prototype === https.Agent.prototype ? "https" : "http";
      const createConnection = (options: { host: string; port: number | string }): Duplex =>
        this.#connect(new URL(`${scheme}://${hostOf(options.host)}:${options.port}`).origin);
      Object.defineProperty(prototype, "createConnection", {
        value: createConnection,
        configurable: true,
        writable: true,
      });
    }
  }

  /** Connections that the client has not closed. */
  get open(): number {
    return this.#connections.size;
  }

  [Symbol.dispose](): void {
    for (const { prototype, createConnection } of this.#before) {
      if (createConnection) Object.defineProperty(prototype, "createConnection", createConnection);
      else Reflect.deleteProperty(prototype, "createConnection");
    }
    for (const connection of this.#connections) connection.destroy();
  }

  #connect(origin: string): Duplex {
    const connection = new ScriptedServer((request) => {
      this.heard.push({ origin, ...request });
      return this.#script.shift() ?? Buffer.alloc(0);
    });
    this.#connections.add(connection);
    connection.on("close", () => this.#connections.delete(connection));
    return connection;
  }
}

function hostOf(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** The client's side of a connection, with the server behind it. */
class ScriptedServer extends Duplex {
  readonly #answer: (request: Omit<Heard, "origin">) => Buffer;
  #received = "";

  constructor(answer: (request: Omit<Heard, "origin">) => Buffer) {
    super({ allowHalfOpen: false }); // as sockets are
    this.#answer = answer;
  }

  // What HTTP clients ask of a socket.
  setKeepAlive(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#received += chunk.toString("latin1");
    done();
    const end = this.#received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const [first = "", ...lines] = this.#received.slice(0, end).split("\r\n");
    const headers = lines.join("\n").toLowerCase();
    const length = Number(/^content-length: (\d+)$/m.exec(headers)?.[1] ?? 0);
    const body = this.#received.slice(end + 4);
    if (body.length < length) return;
    this.#received = "";
    const [method = "", path = ""] = first.split(" ");
    const answer = this.#answer({ method, path, headers: lines.join("\n"), body });
    setImmediate(() => {
      if (this.destroyed) return;
      if (answer.length > 0) this.push(answer);
      this.push(null);
    });
  }
}
