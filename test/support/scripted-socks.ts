// SPDX-License-Identifier: Apache-2.0
import net from "node:net";
import type { Readable } from "node:stream";

export interface ScriptedSocksOptions {
  /** What names and addresses lead to: `registry.test` to `127.0.0.1:PORT`; others are unreachable. */
  readonly routes: ReadonlyMap<string, string>;
  /** `user:password` that it wants. */
  readonly wants?: string;
  /** What it answers in place of what it would. */
  readonly says?: Buffer;
}

export interface ScriptedSocks extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** `registry.test:443` with the kind of address. */
  readonly asked: readonly string[];
}

/** A SOCKS 5 proxy on loopback, written by RFC 1928 and 1929; its own words come a byte at a time. */
export async function startSocks({
  routes,
  wants,
  says,
}: ScriptedSocksOptions): Promise<ScriptedSocks> {
  const asked: string[] = [];
  const open = new Set<net.Socket>();
  const serve = async (client: net.Socket): Promise<void> => {
    const say = async (...bytes: number[]): Promise<void> => {
      for (const byte of bytes) {
        client.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    if (says) {
      client.end(says);
      return;
    }
    const [, count = 0] = await take(client, 2);
    const methods = [...(await take(client, count))];
    const method = wants === undefined ? 0 : 2;
    await say(5, methods.includes(method) ? method : 0xff);
    if (!methods.includes(method)) {
      client.end();
      return;
    }
    if (method === 2) {
      const [, userBytes = 0] = await take(client, 2);
      const user = String(await take(client, userBytes));
      const [passwordBytes = 0] = await take(client, 1);
      const isRight = `${user}:${String(await take(client, passwordBytes))}` === wants;
      await say(1, isRight ? 0 : 1);
      if (!isRight) {
        client.end();
        return;
      }
    }
    const [, , , kind = 0] = await take(client, 4);
    const bytes = kind === 1 ? 4 : kind === 4 ? 16 : ((await take(client, 1))[0] ?? 0);
    const address = await take(client, bytes);
    const name = kind === 3 ? String(address) : address.toString("hex");
    asked.push(`${kind} ${name}:${(await take(client, 2)).readUInt16BE()}`);
    const place = routes.get(name);
    if (place === undefined) {
      await say(5, 4, 0, 1, 0, 0, 0, 0, 0, 0);
      client.end();
      return;
    }
    const behind = net.connect(Number(place.split(":")[1]), "127.0.0.1");
    open.add(behind);
    behind.on("error", () => client.destroy());
    client.on("close", () => behind.destroy());
    await say(5, 0, 0, 3, 4, ...Buffer.from("here"), 0, 80);
    client.pipe(behind).pipe(client);
  };
  const server = net.createServer((client) => {
    open.add(client);
    client.on("error", () => {});
    serve(client).catch(() => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const stream of open) stream.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function take(from: Readable, bytes: number): Promise<Buffer> {
  const all: Buffer[] = [];
  while (all.length < bytes) {
    const taken: unknown = from.read(1);
    if (taken instanceof Buffer) all.push(taken);
    else await new Promise((resolve) => from.once("readable", resolve));
  }
  return Buffer.concat(all);
}
