// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { link, rename, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../test/support/scratch.ts";
import type { Logger } from "../base/logger.ts";
import { silentLogger } from "../base/logger.ts";
import { SocketWatch } from "./socket-watch.ts";
import { bindPathFor, publishSocket } from "./unix-socket.ts";

async function listen(file: string): Promise<AsyncDisposable> {
  const server = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(file, resolve));
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  return { [Symbol.asyncDispose]: close };
}

const us = new RegExp(`^\\S+ \\(pid ${process.pid}\\)$`);
const cases: readonly {
  readonly name: string;
  readonly happens: (file: string) => Promise<AsyncDisposable | undefined>;
  /** Of the warning and of who has it; none when it is ours still. */
  readonly says?: RegExp;
  readonly owner?: RegExp;
}[] = [
  { name: "in place", happens: async () => undefined },
  {
    name: "removed",
    happens: async (file) => {
      await rm(file);
      return undefined;
    },
    says: /socket is gone/,
    owner: /^$/,
  },
  {
    name: "replaced by a file",
    happens: async (file) => {
      await rm(file);
      await writeFile(file, "");
      return undefined;
    },
    says: /socket is gone/,
    owner: /^$/,
  },
  {
    name: "taken, as containerd does",
    happens: async (file) => {
      await rm(file);
      return listen(file);
    },
    says: /another process's now/,
    owner: us,
  },
];

for (const { name, happens, says, owner } of cases) {
  test(`SocketWatch tells once of a socket that is ${name}, and when it is back`, async () => {
    await using home = await scratch({ prefix: "watch", space: false });
    const file = path.join(home.path, "s.sock");
    await using _server = await listen(bindPathFor(file));
    using socket = publishSocket(file, { mode: 0o600, uid: 0, gid: 0 });
    const lines: string[] = [];
    const log: Logger = {
      ...silentLogger,
      warn: (_fields: object, line: string) => void lines.push(line),
      info: (_fields: object, line: string) => void lines.push(line),
    };
    using watch = new SocketWatch({ log });
    await watch.look([socket]);
    assert.deepEqual([watch.lost(), lines], [[], []]);
    await rename(file, `${file}.aside`);
    await rename(`${file}.aside`, file); // its own name again
    await link(file, `${file}.kept`);
    {
      await using _other = await happens(file);
      await watch.look([socket]);
      await watch.look([socket]);
      const [lost] = watch.lost();
      assert.equal(lost?.path, says && file);
      if (says !== undefined) {
        assert.equal(lines.length, 1, lines.join());
        assert.match(lines[0] ?? "", says);
        assert.match(lost?.owner ?? "-", owner ?? /$^/);
      } else assert.deepEqual(lines, []);
    }
    await rename(`${file}.kept`, file);
    await watch.look([socket]);
    assert.deepEqual(watch.lost(), []);
    assert.equal(lines.length, says ? 2 : 0);
    if (says !== undefined) assert.match(lines[1] ?? "", /ours again/);
  });
}

test("SocketWatch says nothing of a lost socket that is not ours to watch any more", async () => {
  await using home = await scratch({ prefix: "watch", space: false });
  const file = path.join(home.path, "s.sock");
  await using _server = await listen(bindPathFor(file));
  using socket = publishSocket(file, { mode: 0o600, uid: 0, gid: 0 });
  const lines: string[] = [];
  const log: Logger = {
    ...silentLogger,
    info: (_fields: object, line: string) => void lines.push(line),
  };
  using watch = new SocketWatch({ log });
  await rm(file);
  await watch.look([socket]);
  await watch.look([]);
  assert.deepEqual([watch.lost(), lines], [[], []]);
});
