// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { suite, test } from "node:test";
import { unchangedSpans } from "./start-pages.ts";

const mapping = (line: string, anonymousKb: number, swapKb = 0): string =>
  [
    `${line}\nSize: 4 kB\nRss: 4 kB\nAnonymous:             ${anonymousKb} kB`,
    `LazyFree: 0 kB\nSwap:                  ${swapKb} kB\nSwapPss: 0 kB\nVmFlags: rd mr mw me sd\n`,
  ].join("\n");

suite("pages of the start", () => {
  test("are those of files, which nothing has changed or may change", () => {
    const smaps = [
      mapping("00400000-0082e000 r--p 00000000 fe:00 5300                       /usr/bin/node", 0),
      mapping("0082e000-03489000 r-xp 0042e000 fe:00 5300                       /usr/bin/a b", 0),
      mapping(
        "072a7000-072dc000 r--p 06ea7000 fe:00 5300                       /usr/bin/node",
        212,
      ),
      mapping("072dc000-07308000 rw-p 06edc000 fe:00 5300                       /usr/bin/node", 0),
      mapping("7f00aa000000-7f00aa001000 r--p 00000000 00:00 0 ", 0),
      mapping("7f00ab000000-7f00ab001000 r--s 00000000 fe:00 7            /var/lib/some.db", 0),
      mapping("7ffd5e000000-7ffd5e002000 r-xp 00000000 00:00 0                      [vdso]", 0),
    ].join("");
    assert.deepEqual(unchangedSpans(smaps, "/usr/bin/node"), [
      { from: 0x400000, bytes: 0x42e000 },
      { from: 0x82e000, bytes: 0x2c5b000 },
    ]);
    assert.deepEqual(unchangedSpans(""), []);
  });

  const line = "00400000-0082e000 r--p 00000000 fe:00 5300                       /usr/bin/node";
  for (const [what, smaps] of [
    ["with changed pages in swap", mapping(line, 0, 44)],
    ["of which a kernel tells nothing of swap", mapping(line, 0).replace(/^Swap:.*\n/m, "")],
    [
      "of a library's data, which may be about to be relocated",
      mapping(line, 0).replace("node", "x.so"),
    ],
  ] as const) {
    test(`stay where they are mappings ${what}`, () => {
      assert.deepEqual(unchangedSpans(smaps, "/usr/bin/node"), []);
    });
  }

  test("go while threads run, and come again when they are wanted", () => {
    const module = JSON.stringify(path.join(import.meta.dirname, "start-pages.ts"));
    const program = `
      import { readFileSync } from "node:fs";
      import { once } from "node:events";
      import { Worker } from "node:worker_threads";
      import { gzipSync } from "node:zlib";
      import { dropStartPages } from ${module};
      const code = "const {parentPort}=process.getBuiltinModule('worker_threads');let n=0;" +
        "setInterval(()=>{for(let i=0;i<1e5;i++)n+=JSON.stringify({i}).length;parentPort.postMessage(n)},1)";
      const worker = new Worker(code, { eval: true });
      await once(worker, "message");
      const rss = () => Number(/RssFile:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
      const before = rss();
      const bytes = await dropStartPages();
      const after = rss();
      for (let i = 0; i < 3; i += 1) { await dropStartPages(); await once(worker, "message"); }
      gzipSync("some text");
      await worker.terminate();
      console.log(JSON.stringify({ before, after, bytes }));`;
    const options = { encoding: "utf8", timeout: 60_000 } as const;
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", program], options);
    const { before, after, bytes } = JSON.parse(out) as Record<string, number>;
    assert.ok(bytes! > 2 ** 20, out);
    assert.ok(after! < before!, out);
  });
});
