// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { withKoffi } from "./koffi.ts";

const require = createRequire(import.meta.url);

test("the native part is of koffi's own version, and can do what koffi does", () => {
  const { version } = require("koffi") as { version: string };
  withKoffi((koffi) => {
    assert.equal(koffi.version, version);
    const getpid = koffi.load("libc.so.6").func("int getpid()") as () => number;
    assert.equal(getpid(), process.pid);
  });
});

test("koffi's own JavaScript is left out", () => {
  const module = path.join(import.meta.dirname, "koffi.ts");
  const program = `
    import { createRequire } from "node:module";
    import { withKoffi } from ${JSON.stringify(module)};
    withKoffi((koffi) => koffi.load("libc.so.6"));
    console.log(Object.keys(createRequire(${JSON.stringify(module)}).cache).join("\\n"));`;
  const args = ["--input-type=module", "--disable-warning=ExperimentalWarning", "--eval", program];
  const loaded = execFileSync(process.execPath, args, { encoding: "utf8" });
  assert.match(loaded, /\/koffi\.node$/m);
  assert.doesNotMatch(loaded, /\.cjs$/m);
});
