// SPDX-License-Identifier: Apache-2.0
// [grpc] also: further sockets of the same server.
import assert from "node:assert/strict";
import { readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { parse, stringify } from "smol-toml";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { connectPeer } from "../support/grpc-peer.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { run } from "../support/run.ts";
import { scratch } from "../support/scratch.ts";
import { until } from "../support/until.ts";

const berthd = path.resolve(import.meta.dirname, "../../bin/berthd");
const berth = path.resolve(import.meta.dirname, "../../bin/berth");
const reloaded = "configuration reloaded";
const refused = "configuration not reloaded, everything stays as it was";

suite("further sockets", { skip: lacking(...podPrograms) }, () => {
  let home: Awaited<ReturnType<typeof scratch>>;
  let daemon: Daemon;
  let first: string;
  let second: string;
  before(async () => {
    home = await scratch({ prefix: "also" });
    first = path.join(home.path, "containerd", "containerd.sock");
    second = path.join(home.path, "second.sock");
    daemon = await startDaemon({ config: { grpc: { also: [first] } } });
  });
  after(async () => {
    try {
      await daemon?.assertCleanEnd();
    } finally {
      await daemon?.[Symbol.asyncDispose]();
      await home?.[Symbol.asyncDispose]();
    }
  });

  async function write(also: readonly string[]): Promise<void> {
    const config = parse(await readFile(daemon.configFile, "utf8")) as { grpc: object };
    await writeFile(daemon.configFile, stringify({ ...config, grpc: { ...config.grpc, also } }));
  }

  /** SIGHUP, and the line that tells what came of it. */
  async function reload(outcome: string): Promise<string> {
    const ends = async () =>
      (await daemon.logLines()).filter(({ msg }) => msg === reloaded || msg === refused);
    const count = (await ends()).length;
    process.kill(daemon.pid(), "SIGHUP");
    const line = await until("the reload has ended", async () => (await ends())[count]);
    assert.equal(line["msg"], outcome, JSON.stringify(line));
    return String(line["reason"]);
  }

  const check = () => run(berthd, ["config", "check", "--config", daemon.configFile]);

  /** Asks CRI and containerd's API there. */
  async function serves(file: string): Promise<void> {
    using peer = connectPeer(file);
    const { runtimeName } = await peer.client("runtime.v1.RuntimeService").Version({});
    assert.equal(runtimeName, "berth");
    const { version } = await peer.client("containerd.services.version.v1.Version").Version({});
    assert.match(version, /\d/);
  }

  test("one serves all that the first one serves, with its owner and mode", async () => {
    await serves(first);
    const facts = async (file: string) => {
      const { mode, uid, gid } = await stat(file);
      return { mode, uid, gid };
    };
    assert.deepEqual(await facts(first), await facts(daemon.socket));
    assert.equal((await stat(path.dirname(first))).mode & 0o777, 0o711);
    assert.equal((await check()).code, 0);
  });

  test("what a killed daemon left is taken over", async () => {
    await daemon.kill9();
    assert.ok((await stat(first)).isSocket());
    await daemon.start();
    await serves(first);
  });

  test("one comes and goes by a reload, a link to our own socket makes way", async () => {
    await symlink(daemon.socket, second);
    await write([second]);
    assert.equal((await check()).code, 0);
    await reload(reloaded);
    await serves(second);
    assert.ok((await stat(second)).isSocket());
    await assert.rejects(stat(first), { code: "ENOENT" });
    await write([first]);
    await reload(reloaded);
    await serves(first);
    await assert.rejects(stat(second), { code: "ENOENT" });
  });

  suite("that another process has", () => {
    let other: Server;
    before(async () => {
      other = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve) => other.listen(second, resolve));
    });
    after(() => other.close());
    const says = new RegExp(
      `cannot listen on ".*/second\\.sock": another process is listening there: \\S+ \\(pid ${process.pid}\\)`,
    );

    test("is refused by a reload, and what was there goes on", async () => {
      const third = path.join(home.path, "third.sock");
      await write([third, second]);
      assert.match(await reload(refused), says);
      await assert.rejects(stat(third), { code: "ENOENT" });
      await serves(first);
    });

    test("is refused by config check", async () => {
      const { code, stderr } = await check();
      assert.equal(code, 1);
      assert.match(stderr, says);
      assert.ok(stderr.startsWith(`berthd: "grpc.also" in ${daemon.configFile}: `), stderr);
    });

    test("is refused at the start, and stays as it is", async () => {
      await daemon.stop();
      await assert.rejects(stat(first), { code: "ENOENT" });
      const { code, stderr } = await run(berthd, ["serve", "--config", daemon.configFile]);
      assert.equal(code, 1);
      assert.match(stderr, says);
      await assert.rejects(stat(daemon.socket), { code: "ENOENT" });
      assert.ok((await stat(second)).isSocket());
    });
  });

  test("no socket, a path twice, one too long: each is told", async () => {
    await rm(second, { force: true });
    await writeFile(second, "");
    await write([second]);
    assert.match((await check()).stderr, /second\.sock": it exists and is no socket/);
    await rm(second);
    await write([daemon.socket]);
    assert.match(
      (await check()).stderr,
      /"grpc\.also" has .* twice, or what "grpc\.address" takes/,
    );
    await write([path.join(home.path, "x".repeat(100))]);
    assert.match((await check()).stderr, /"grpc\.also" has a path of \d+ bytes/);
    await write(["relative.sock"]);
    assert.match((await check()).stderr, /"grpc\.also".*expected absolute paths/);
  });

  test("one that another daemon takes, as containerd does, is told and not taken back", async () => {
    const lost = async (): Promise<unknown> => {
      using peer = connectPeer(daemon.socket);
      const { info } = await peer.client("runtime.v1.RuntimeService").Status({ verbose: true });
      return JSON.parse(info["lostSockets"] ?? "null");
    };
    await write([first]);
    await daemon.start();
    await serves(first);
    assert.deepEqual(await lost(), []);
    // sys.GetLocalListener of containerd: it unlinks what lies there.
    await rm(first);
    const nri = path.join(daemon.folder, "nri/nri.sock");
    await rm(nri);
    const other = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => other.listen(first, resolve));
    try {
      const owner = new RegExp(`^\\S+ \\(pid ${process.pid}\\)$`);
      const told = await until("it is told", async () => {
        const found = (await lost()) as { path: string; owner: string }[];
        return found.length > 1 && found;
      });
      assert.deepEqual(
        told.map((one) => one.path),
        [nri, first],
      );
      assert.match(told[1]?.owner ?? "", owner);
      assert.match(
        await (await fetch(`${daemon.metricsUrl}/metrics`)).text(),
        /^berth_lost_sockets 2$/m,
      );
      const warned = (await daemon.logLines()).filter(({ msg }) =>
        String(msg).includes("another process's now"),
      );
      assert.equal(warned.length, 1);
      const { stdout } = await run(berth, ["--address", daemon.socket, "status"]);
      assert.match(stdout, /LOST SOCKET.*\n.*nri\.sock +-\n.*containerd\.sock +\S+ \(pid \d+\)/);
    } finally {
      await daemon.stop();
      const isTheirs = (await stat(first)).isSocket();
      other.close();
      assert.ok(isTheirs);
    }
  });

  test("at the end what has taken our socket's name stays", async () => {
    await write([first]);
    await daemon.start();
    await rename(first, `${first}.ours`);
    await writeFile(first, "somebody else's");
    await daemon.stop();
    assert.ok((await stat(first)).isFile());
    await rm(first);
    await daemon.start();
  });
});
