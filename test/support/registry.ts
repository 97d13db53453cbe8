// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { GivenUp, until } from "./until.ts";

/** A `docker-registry` of our own on loopback, plain http. */
export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  readonly port: number;
  /** What it logged so far: one line a request. */
  log(): Promise<string>;
}

/** Starts Debian's docker-registry with its storage in `folder`. */
export async function startRegistry(folder: string): Promise<Registry> {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const config = path.join(folder, "registry.yml");
  const logFile = path.join(folder, "registry.log");
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: "info", formatter: "json" },
      storage: {
        filesystem: { rootdirectory: path.join(folder, "data") },
        delete: { enabled: true },
      },
      http: { addr: host, secret: "test" },
    }),
  );
  const log = openSync(logFile, "a");
  const child = spawn("docker-registry", ["serve", config], {
    stdio: ["ignore", log, log],
    env: { ...process.env, OTEL_TRACES_EXPORTER: "none" },
  });
  await until("docker-registry answers", async () => {
    if (child.exitCode !== null) throw new GivenUp(`docker-registry: exit ${child.exitCode}`);
    return (await fetch(`http://${host}/v2/`)).ok;
  });
  return {
    host,
    port,
    log: () => readFile(logFile, "utf8"),
    [Symbol.asyncDispose]: () => endChild(child),
  };
}

/** Ends a child: SIGTERM, then SIGKILL after `graceMs`; resolves when it is gone. */
export async function endChild(child: ChildProcess, graceMs = 20_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await gone;
  clearTimeout(timer);
}

let portsGiven = 0;

/**
 * A TCP port of loopback that nobody listened on a moment ago. It is none of those that the kernel gives to whoever asks
 * for any, and test files that run at the same time begin at different ones: else another would have it by the time it is used.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + ((process.pid * 12 + portsGiven) % 12_000);
    portsGiven += 1;
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  const isHeard = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (isHeard) await new Promise((resolve) => server.close(resolve));
  return isHeard;
}
