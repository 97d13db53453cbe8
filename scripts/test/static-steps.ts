// SPDX-License-Identifier: Apache-2.0
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { run } from "../../src/base/process.ts";
import { differences, loadProtos } from "./proto-facts.ts";
import { type Counts, failed, passed, type Step } from "./step.ts";

const root = path.resolve(import.meta.dirname, "../..");
const bin = (name: string): string => path.join(root, "node_modules/.bin", name);
const folders = ["src", "test", "scripts", "bench"].filter((name) =>
  existsSync(path.join(root, name)),
);

/** Everything that needs no test to run: generated files, types, lint, format, dead code. */
export const staticSteps: readonly Step[] = [
  { name: "package-lock suits any registry", group: "static", run: checkLock },
  { name: "protos equal the published facts", group: "static", run: checkProtos },
  {
    name: "generated code is current",
    group: "static",
    run: () => script("scripts/gen.ts", "--check"),
  },
  {
    name: "generated docs are current",
    group: "static",
    run: () => script("scripts/docs.ts", "--check"),
  },
  { name: "imports keep to the layers", group: "static", run: () => script("scripts/layers.ts") },
  { name: "tsc", group: "static", run: () => tool(bin("tsc"), "-p", root) },
  {
    name: "oxlint",
    group: "static",
    run: () => tool(bin("oxlint"), "-c", ".oxlintrc.json", ...folders),
  },
  { name: "biome", group: "static", run: () => tool(bin("biome"), "check", "--error-on-warnings") },
  { name: "knip", group: "static", run: () => knip("--treat-config-hints-as-errors") },
  {
    name: "dependencies are what src/ imports",
    group: "static",
    run: () => knip("--production", "--strict", "--include=dependencies,unlisted"),
  },
];

function knip(...args: string[]): Promise<Counts> {
  return script("node_modules/knip/bin/knip.js", ...args);
}

function script(file: string, ...args: string[]): Promise<Counts> {
  return tool(process.execPath, file, ...args);
}

/** Runs a tool in the project's folder; shows what it said only when it failed. */
async function tool(file: string, ...args: string[]): Promise<Counts> {
  // A `#!/usr/bin/env node` tool must find the project's Node, not the machine's.
  const env = {
    ...process.env,
    PATH: `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
  };
  const result = await run(file, args, { cwd: root, env, anyExitCode: true, mergeStderr: true });
  if (result.exitCode === 0) return passed;
  process.stdout.write(result.stdout);
  return failed;
}

/** The lock file must suit any registry; scripts/lock.ts says what npm writes there that does not. */
async function checkLock(): Promise<Counts> {
  const text = readFileSync(path.join(root, "package-lock.json"), "utf8");
  const { packages } = JSON.parse(text) as {
    packages: Record<string, { resolved?: string; optionalDependencies?: Record<string, string> }>;
  };
  const bad = Object.entries(packages).flatMap(
    ([place, { resolved, optionalDependencies = {} }]) => [
      ...(resolved === undefined ? [] : [`${place} names the server it came from`]),
      ...Object.keys(optionalDependencies)
        .filter(
          (name) =>
            !(`node_modules/${name}` in packages || `${place}/node_modules/${name}` in packages),
        )
        .map((name) => `${place} wants ${name}, which is not in the file`),
    ],
  );
  if (bad.length === 0) return passed;
  process.stdout.write(`package-lock.json: ${bad.slice(0, 5).join("; ")}: run \`npm run lock\`\n`);
  return failed;
}

/** Holds proto/ against test/facts, both ways. */
async function checkProtos(): Promise<Counts> {
  const folder = path.join(root, "test/facts");
  const pages = globSync("*.txt", { cwd: folder }).map((name) =>
    readFileSync(path.join(folder, name), "utf8"),
  );
  const found = differences(loadProtos(path.join(root, "proto")), pages);
  if (found.length === 0 && pages.length > 0) return passed;
  process.stdout.write(`proto/: ${pages.length} pages, ${found.length} differences\n`);
  for (const line of found.slice(0, 20)) process.stdout.write(`    ${line}\n`);
  return failed;
}
