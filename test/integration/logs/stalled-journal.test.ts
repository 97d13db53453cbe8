// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = `
  import { createLog } from ${JSON.stringify(fileURLToPath(new URL("../../../src/log/logger.ts", import.meta.url)))};
  const { log } = await createLog({ level: "info", format: "json" });
  for (let at = 0; at < 2000; at += 1) log.info({ at, text: "x".repeat(8000) }, "line");
  process.stdout.write("done\\n");
  process.stdin.once("data", () => {
    log.info({}, "the last word");
    process.stdin.destroy();
  });
`;

test("a log that nobody reads holds nothing up, tells what it dropped, and has the last word", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  // 16 MB are logged while nobody reads: with a synchronous write this never comes.
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  assert.equal(said.toString(), "done\n");
  let text = "";
  child.stderr.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.includes("dropped") && child.stdin.writable) child.stdin.end("end");
  });
  await once(child, "close");
  assert.equal(child.exitCode, 0);
  const lines = text
    .trimEnd()
    .split("\n")
    .map(
      (line) => JSON.parse(line) as { readonly at?: number; readonly lines?: number; msg: string },
    );
  const kept = lines.filter(({ msg }) => msg === "line").length;
  const dropped = lines.find(({ msg }) => /dropped/.test(msg))?.lines ?? 0;
  assert.equal(kept + dropped, 2000);
  assert.ok(dropped > 0);
  assert.equal(lines.at(-1)?.msg, "the last word");
});
