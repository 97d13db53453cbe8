// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { defaultConfig } from "../../../src/config/defaults.ts";
import { type LoadedConfig, loadConfig } from "../../../src/config/load.ts";
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
} from "../../../src/config/quantity.ts";
import { renderConfig } from "../../../src/config/render.ts";
import { type FuzzTarget, refused } from "../target.ts";

const memory = "/dev/shm";
/** Between config.toml and a file of config.d. */
const separator = "\n#--drop-in--\n";

/** config.toml, and what is dropped in. What was understood means the same when it is written out. */
export const target: FuzzTarget = {
  name: "daemon-config",
  parses: [
    "src/config/load.ts",
    "src/config/schema.ts",
    "src/config/kinds.ts",
    "src/config/quantity.ts",
    "src/config/check-config.ts",
    "src/config/suggest-key.ts",
    "src/config/render.ts",
  ],
  dictionary: [
    separator,
    'root = "/r"\n',
    "[grpc]\n",
    "[log]\n",
    'level = "debug"\n',
    "[streaming]\n",
    'address = "[::1]:0"\n',
    'idle_timeout = "4h"\n',
    "max_sessions = 3\n",
    "[cni]\n",
    "[timeouts]\n",
    "[runtime.handlers.x]\n",
    "[runtime.handlers.__proto__]\n",
    'type = "io.containerd.runc.v2"\n',
    "[runtime.handlers.x.options]\n",
    "SystemdCgroup = true\n",
    "[plugins.config.p]\n",
    "1979-05-27T07:32:00Z",
    "9223372036854775807",
    "1e400",
    "nan",
    '"16MiB"',
    '"1h30m"',
    '"0.0001ms"',
  ],
  *seeds() {
    yield Buffer.from(renderConfig(defaultConfig, { comments: false }).slice(0, 4096));
    yield Buffer.from(
      `[log]\nlevel = "warn"\n[cri]\nexec_sync_output_limit = "1MiB"${separator}[log]\nlevel = "debug"\nformat = "json"`,
    );
    yield Buffer.from(
      '[runtime]\ndefault_handler = "kata"\n[runtime.handlers.kata]\ntype = "io.containerd.kata.v2"\n[runtime.handlers.kata.options]\nConfigPath = "/x.toml"\n',
    );
    yield Buffer.from('[plugins.config.p]\ntimeout = "1s"\nany = {a = [1, 2.5, "x"], b = true}\n');
    yield Buffer.from(`[plugins.config.p${".a".repeat(1100)}]\nb = 1\n`);
    yield Buffer.from('[timeouts]\ncni = "1h0.5m90s"\nshim_lod = 1\n');
    yield Buffer.from(`${"k".repeat(3000)} = 1\n[${"t".repeat(900)}]`);
  },
  run(input) {
    const [main = "", ...more] = input.toString("utf8").split(separator);
    for (const text of main.split("\n").slice(0, 4)) checkQuantities(text);
    let loaded: LoadedConfig;
    try {
      loaded = load(main, more);
    } catch (error) {
      refused(error, "INVALID_ARGUMENT");
      return;
    }
    const { config } = loaded;
    assert.ok(
      Object.isFrozen(config) && Object.values(config).every((part) => Object.isFrozen(part)),
    );
    assert.equal(loaded.sources.length, 1 + more.length);
    assert.deepEqual(load(renderConfig(config, { comments: false }), []).config, config);
    // The later file wins. It is the same for all inputs, and takes a hundred times as long as most.
    if (input.length > 0) return;
    const later = load('[log]\nlevel = "debug"', [renderConfig(defaultConfig, { comments: true })]);
    assert.deepEqual(later.config, defaultConfig);
  },
};

function load(main: string, more: readonly string[]): LoadedConfig {
  const folder = mkdtempSync(path.join(memory, "berth fuzz "));
  const file = path.join(folder, "config.toml");
  const dropIns = path.join(folder, "config.d");
  try {
    writeFileSync(file, main);
    if (more.length > 0) mkdirSync(dropIns);
    for (const [at, text] of more.entries())
      writeFileSync(path.join(dropIns, `${100 + at}.toml`), text);
    return loadConfig({ file });
  } finally {
    for (const name of more.length > 0 ? readdirSync(dropIns) : [])
      unlinkSync(path.join(dropIns, name));
    if (more.length > 0) rmdirSync(dropIns);
    unlinkSync(file);
    rmdirSync(folder);
  }
}

function checkQuantities(text: string): void {
  const milliseconds = parseDuration(text);
  assert.equal(milliseconds, slowDuration(text), `the duration ${JSON.stringify(text)}`);
  if (milliseconds !== undefined)
    assert.equal(parseDuration(formatDuration(milliseconds)), milliseconds);
  const bytes = parseSize(text);
  const [, digits, unit = ""] = /^([0-9]+)(KiB|MiB|GiB|)$/.exec(text) ?? [];
  const factor = { "": 1n, KiB: 1n << 10n, MiB: 1n << 20n, GiB: 1n << 30n }[unit] ?? 1n;
  const exact = digits === undefined ? undefined : BigInt(digits) * factor;
  const isSafe = exact !== undefined && exact <= BigInt(Number.MAX_SAFE_INTEGER);
  assert.equal(bytes, isSafe ? Number(exact) : undefined, `the size ${JSON.stringify(text)}`);
  if (bytes !== undefined) assert.equal(parseSize(String(formatSize(bytes))), bytes);
}

/** Parts of digits and a unit, summed up. */
function slowDuration(text: string): number | undefined {
  if (text === "0") return 0;
  let rest = text;
  let sum = 0;
  while (rest !== "") {
    const number = /^[0-9]+(\.[0-9]+)?/.exec(rest)?.[0];
    if (number === undefined) return undefined;
    rest = rest.slice(number.length);
    const unit = ["ms", "h", "m", "s"].find((one) => rest.startsWith(one));
    if (unit === undefined) return undefined;
    rest = rest.slice(unit.length);
    sum += Number(number) * ({ h: 3_600_000, m: 60_000, s: 1000, ms: 1 }[unit] ?? 0);
  }
  const rounded = Math.round(sum);
  return text === "" || (rounded === 0 && sum > 0) || !Number.isSafeInteger(rounded)
    ? undefined
    : rounded;
}
