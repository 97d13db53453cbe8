// SPDX-License-Identifier: Apache-2.0
import net from "node:net";
import { onAbort } from "../../base/on-abort.ts";
import { passing } from "./patience.ts";
import { registryFault } from "./registry-fault.ts";

/** What a SOCKS proxy may want. */
export interface SocksLogin {
  readonly user: string;
  readonly password: string;
}

export interface SocksTarget {
  /** A name, which the proxy looks up, or an address. */
  readonly host: string;
  readonly port: number;
}

const version = 5;
const noLogin = 0;
const passwordLogin = 2;

/** RFC 1928, section 6. What may go over is tried again. */
const refusals: Readonly<Record<number, { readonly why: string; readonly passes: boolean }>> = {
  1: { why: "it failed", passes: true },
  2: { why: "it does not let us through", passes: false },
  3: { why: "it cannot reach that: network unreachable", passes: true },
  4: { why: "it cannot reach that: host unreachable", passes: true },
  5: { why: "it cannot reach that: connection refused", passes: true },
  6: { why: "it cannot reach that: TTL expired", passes: true },
  7: { why: "it makes no connections for others", passes: false },
  8: { why: "it does not know addresses of this kind", passes: false },
};

/**
 * Has a SOCKS 5 proxy connect to the target: what comes next on the socket is the target's. A client of our own (RFC 1928
 * and 1929), since it has to end with the signal at each step, on a connection of ours. UNAVAILABLE with what the proxy says.
 */
export async function throughSocks(
  socket: net.Socket,
  { host, port }: SocksTarget,
  login: SocksLogin | undefined,
  signal: AbortSignal,
): Promise<void> {
  using reader = new Reader(socket, signal);
  const methods = login ? [noLogin, passwordLogin] : [noLogin];
  socket.write(Buffer.from([version, methods.length, ...methods]));
  const [spoken, method] = await reader.read(2);
  if (spoken !== version) throw registryFault("it does not speak SOCKS 5");
  if (method === passwordLogin && login) {
    socket.write(Buffer.concat([Buffer.from([1]), counted(login.user), counted(login.password)]));
    const [, status] = await reader.read(2);
    if (status !== 0) throw registryFault("it wants another login");
  } else if (method !== noLogin) {
    throw registryFault("it wants a login, or another one");
  }
  const portBytes = Buffer.from([port >> 8, port & 0xff]);
  socket.write(Buffer.concat([Buffer.from([version, 1, 0]), addressOf(host), portBytes]));
  const [answered, reply = 0, , kind] = await reader.read(4);
  if (answered !== version) throw registryFault("it does not speak SOCKS 5");
  if (reply !== 0) {
    const { why, passes } = refusals[reply] ?? {
      why: `it refuses (reply ${reply})`,
      passes: false,
    };
    throw registryFault(why, passes ? { details: passing() } : {});
  }
  // The address that it connects from, which is nobody's business.
  const bytes = kind === 1 ? 4 : kind === 4 ? 16 : (await reader.read(1))[0];
  await reader.read((bytes ?? 0) + 2);
}

/** Bytes after their number. */
function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw registryFault("a name or password is too long for SOCKS");
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function addressOf(host: string): Buffer {
  const family = net.isIP(host);
  if (family === 4) return Buffer.from([1, ...host.split(".").map(Number)]);
  if (family !== 6) return Buffer.concat([Buffer.from([3]), counted(host)]);
  const [head = "", tail] = host.replace(/%.*$/, "").split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  const words = [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16));
  return Buffer.from([4, ...words.flatMap((word) => [word >> 8, word & 0xff])]);
}

/** Takes as many bytes of a socket as are asked for, 255 at most, and leaves the rest. */
class Reader implements Disposable {
  readonly #socket: net.Socket;
  readonly #failed = Promise.withResolvers<never>();
  readonly #reaction: Disposable;
  readonly #fail = (error: Error): void => this.#failed.reject(error);
  readonly #end = (): void => this.#fail(registryFault("it closed the connection"));

  constructor(socket: net.Socket, signal: AbortSignal) {
    this.#socket = socket;
    this.#failed.promise.catch(() => {});
    socket.on("error", this.#fail).on("close", this.#end).on("end", this.#end);
    this.#reaction = onAbort(signal, (reason) => this.#failed.reject(reason));
  }

  /** One byte after another: of more that are not there yet, those that are would be told again and again. */
  async read(bytes: number): Promise<Buffer> {
    const all = Buffer.alloc(bytes);
    for (let at = 0; at < bytes; ) {
      const taken: unknown = this.#socket.read(1);
      if (taken instanceof Buffer) all[at++] = taken[0] ?? 0;
      else await this.#more();
    }
    return all;
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once("readable", resolve);
    try {
      await Promise.race([promise, this.#failed.promise]);
    } finally {
      this.#socket.off("readable", resolve);
    }
  }

  [Symbol.dispose](): void {
    this.#reaction[Symbol.dispose]();
    this.#socket.off("error", this.#fail).off("close", this.#end).off("end", this.#end);
  }
}
