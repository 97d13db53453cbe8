// SPDX-License-Identifier: Apache-2.0
// What export leaves when it is cut short; what it writes is held by test/e2e/berth-images.test.ts.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { after, before, test } from "node:test";
import { removeFolderSync } from "../../../base/remove-folder.ts";
import { aborted } from "../../../base/waits.ts";
import { digestOf } from "../../../content/digest.ts";
import { GrpcServer } from "../../../rpc/grpc-server.ts";
import { buildBerth } from "../../berth-program.ts";
import { CommandExit } from "../../command-exit.ts";
import { runProgram } from "../../run-program.ts";
import type { Terminal } from "../../terminal.ts";

const folder = mkdtempSync(path.join(tmpdir(), "berth export "));
const out = path.join(folder, "out");
const socket = path.join(folder, "b.sock");
const layer = digestOf("layer");
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: "x", digest: layer, size: 1 << 30 },
    layers: [],
  }),
);
const target = { digest: digestOf(manifest), size: BigInt(manifest.length), mediaType: "x" };
let server: GrpcServer;
/** Called when the layer's first bytes are on their way. */
let onLayer = (): void => {};

before(async () => {
  mkdirSync(out);
  server = new GrpcServer({ path: socket });
  server.add("containerd.services.images.v1.Images", {
    Get: async ({ name }) => ({ image: { name, target } }),
  });
  server.add("containerd.services.content.v1.Content", {
    Info: async ({ digest }) => ({
      info: { digest, size: digest === layer ? 1n << 30n : target.size },
    }),
    Read: async function* ({ digest }, { signal }) {
      if (digest !== layer) return yield { data: manifest };
      yield { data: Buffer.alloc(1000) };
      onLayer();
      await aborted(signal); // the rest never comes
    },
  });
  await server.listen();
});
after(async () => {
  await server.close();
  removeFolderSync(folder);
});

async function cutShort(by: "signal" | "reader" | "disk", ...flags: string[]) {
  let interrupt = (_name: NodeJS.Signals): void => {};
  const lost = new AbortController();
  const why = { reader: new CommandExit(141), disk: new Error("full") };
  onLayer = () => {
    if (by === "signal") interrupt("SIGINT");
    else lost.abort(why[by]);
  };
  let err = "";
  const terminal: Terminal = {
    stdin: new PassThrough(),
    stdout: new PassThrough().resume(),
    stderr: new PassThrough(),
    size: () => undefined,
    raw: () => undefined,
    onResize: () => new DisposableStack(),
    onSignal: (callback) => {
      interrupt = callback;
      return new DisposableStack();
    },
  };
  const io = {
    out: () => {},
    error: (text: string) => void (err += text),
    env: { BERTH_ADDRESS: socket },
    terminal: () => terminal,
    lost: lost.signal,
  };
  const code = await runProgram(
    buildBerth(io),
    ["image", "export", ...flags, "example.com/a:1"],
    io,
  );
  return { code, err: err.split("\n")[0], left: readdirSync(out) };
}

const file = ["-o", path.join(out, "a.tar")];
const cases = [
  { by: "signal", flags: file, is: { code: 130, err: "", left: [] } },
  { by: "signal", flags: [], is: { code: 130, err: "", left: [] } },
  { by: "reader", flags: [], is: { code: 141, err: "", left: [] } },
  { by: "disk", flags: file, is: { code: 1, err: "berth: Error: full", left: [] } },
] as const;
for (const { by, flags, is } of cases) {
  test(`an export to ${flags.length > 0 ? "a file" : "standard output"} that a ${by} ends leaves nothing`, async () => {
    assert.deepEqual(await cutShort(by, ...flags), is);
  });
}
