// SPDX-License-Identifier: Apache-2.0
// Makes a release of the checkout, which has to be clean: the number in package.json and package-lock.json, the date in
// CHANGELOG.md, a commit, a tag, and the artefacts of it in dist/. Nothing is pushed. RELEASING.md has what comes before.
//
//   npm run release -- 0.2.0
//   npm run release -- 0.2.0 --dry-run    says what it would do
import path from "node:path";
import { parseArgs } from "node:util";
import { toFault } from "../src/base/errors.ts";
import { run } from "../src/base/process.ts";
import { release } from "./release/release.ts";

const root = path.resolve(import.meta.dirname, "..");
const { values, positionals } = parseArgs({
  options: { "dry-run": { type: "boolean", default: false } },
  allowPositionals: true,
});
const [version, ...more] = positionals;
try {
  if (version === undefined || more.length > 0)
    throw new Error("usage: npm run release -- VERSION");
  await release({
    root,
    version,
    date: new Date().toISOString().slice(0, 10),
    isDry: values["dry-run"],
    say: (line) => void process.stdout.write(`${line}\n`),
    makePackages: async () => {
      const dist = path.join(root, "dist");
      const made = await run(process.execPath, [
        path.join(root, "scripts/package.ts"),
        "--out",
        dist,
      ]);
      process.stdout.write(made.stdout);
      await run("sha256sum", ["--check", "--quiet", "--strict", "SHA256SUMS"], { cwd: dist });
    },
  });
} catch (error) {
  process.stderr.write(`release: ${toFault(error).message}\n`);
  process.exitCode = 1;
}
