// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { removeFolderSync } from "../base/remove-folder.ts";
import { GrpcServer } from "./grpc-server.ts";

const introspection = "containerd.services.introspection.v1.Introspection";

/** A call's timeout as it goes over the wire, and whether the call may be over after a moment. */
const timeouts: readonly (readonly [string, boolean])[] = [
  ["2592000S", false], // 30 days, as grpc-go writes them
  ["43200M", false],
  ["720H", false],
  ["4320000S", false], // 50 days
  ["99999999H", false],
  ["10S", false],
  ["1m", true],
  ["1n", true],
];

for (const [timeout, isOver] of timeouts) {
  test(`a call with grpc-timeout ${timeout} ${isOver ? "ends" : "goes on"}`, async () => {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(path.join(os.tmpdir(), "berth-deadline-"));
    stack.defer(() => removeFolderSync(folder));
    const server = new GrpcServer({ path: path.join(folder, "s.sock") });
    stack.defer(() => server.close({ signal: AbortSignal.abort() }));
    server.add(introspection, {
      Server: async (_request, { signal }) => {
        await sleep(30, undefined, { signal }).catch(() => {});
        return { uuid: signal.aborted ? "aborted" : "served" };
      },
    });
    await server.listen();
    const client = new Client(`unix:${server.path}`, credentials.createInsecure());
    stack.defer(() => client.close());
    const metadata = new Metadata();
    metadata.set("grpc-timeout", timeout);
    const answer = await new Promise<string>((resolve, reject) => {
      client.makeUnaryRequest(
        `/${introspection}/Server`,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        Buffer.alloc(0),
        metadata,
        (error: ServiceError | null, bytes?: Buffer) => {
          if (error && error.code !== status.DEADLINE_EXCEEDED) reject(error);
          else resolve(error ? "deadline" : (bytes ?? Buffer.alloc(0)).toString());
        },
      );
    });
    assert.match(answer, isOver ? /^deadline$/ : /served$/);
  });
}
