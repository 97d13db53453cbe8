// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { type DropIn, type NetworkConf, parseConf } from "../../../src/network/conf.ts";
import { ByteSource } from "../byte-source.ts";
import { present } from "../support/present.ts";
import { type FuzzTarget, refused } from "../target.ts";

const folder = "/etc/cni/net.d";
/** Between a configuration and what is dropped in for its network. */
const separator = "\n--drop-in--\n";
const spoken = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/**
 * The text of a configuration file, of a list or of a single plugin by the first byte, and of drop-ins; or the
 * bytes from which those are made.
 */
export const target: FuzzTarget = {
  name: "cni-conf",
  parses: ["src/network/conf.ts"],
  dictionary: [
    '"cniVersion":"1.1.0"',
    '"cniVersions":["0.4.0","1.0.0"]',
    '"name":"net"',
    '"type":"bridge"',
    '"type":".."',
    '"plugins":[',
    '"capabilities":{"portMappings":true}',
    '"disableCheck":"true"',
    '"disableGC":true',
    '"loadOnlyInlinedPlugins":true',
    '"__proto__":',
    '"prevResult":{}',
    "null",
    "[",
    "{}",
    separator,
  ],
  *seeds() {
    const bridge = {
      type: "bridge",
      bridge: "cni0",
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/16" }]] },
    };
    const portmap = { type: "portmap", capabilities: { portMappings: true, bandwidth: false } };
    const list = {
      cniVersion: "1.0.0",
      name: "net",
      disableCheck: "true",
      plugins: [bridge, portmap],
    };
    const newer = { cniVersions: ["0.4.0", "1.1.0"], name: "net", disableGC: true, plugins: [] };
    const single = { cniVersion: "0.3.1", name: "one", ...bridge };
    for (const one of [list, newer, single]) {
      for (const kind of [0, 1]) yield Buffer.from(String.fromCharCode(kind) + JSON.stringify(one));
    }
    yield Buffer.from(`\x80${"\x01\x02\x03\x04".repeat(20)}`, "latin1");
    yield Buffer.from(`\x81${"\x03\x01\x07".repeat(20)}`, "latin1");
    yield Buffer.from(`\0${JSON.stringify(newer)}${separator}${JSON.stringify(portmap)}`);
  },
  run(input) {
    if ((input[0] ?? 0) >= 128) {
      const text = makeText(new ByteSource(input.subarray(1)));
      check(Buffer.concat([input.subarray(0, 1), Buffer.from(text)]));
    } else check(input);
  },
};

function makeText(bytes: ByteSource): string {
  const flag = (): unknown =>
    bytes.pick<unknown>([true, false, "true", "false", undefined, null, 1]);
  const version = (): unknown => bytes.pick<unknown>([...spoken, "1.2.0", "", 1]);
  const plugin = (): Record<string, unknown> =>
    present({
      type: bytes.pick<unknown>([
        "bridge",
        "a.b",
        ".",
        "..",
        "...",
        "../x",
        "a/b",
        "",
        "x\0",
        bytes.text(11),
        1,
      ]),
      capabilities: bytes.maybe(() =>
        Object.fromEntries(
          bytes.list(3, () => [bytes.pick(["portMappings", "dns", "__proto__"]), flag()]),
        ),
      ),
      [bytes.text(11)]: bytes.maybe(() => [{ [bytes.text(11)]: bytes.byte() }]),
    });
  const conf = present({
    ...plugin(),
    cniVersion: bytes.maybe(version),
    cniVersions: bytes.maybe(() => bytes.list(3, version)),
    name: bytes.pick<unknown>(["net", "a.b-c_d", "..", ".", "-", "a/b", "net\n", bytes.text(11)]),
    disableCheck: flag(),
    disableGC: flag(),
    loadOnlyInlinedPlugins: flag(),
    plugins: bytes.maybe(() => bytes.list(3, plugin)),
  });
  return [conf, ...bytes.list(2, plugin)].map((one) => JSON.stringify(one)).join(separator);
}

function check(input: Buffer): void {
  const file = path.join(folder, (input[0] ?? 0) % 2 === 0 ? "10-net.conflist" : "10-net.conf");
  const [text = "", ...more] = input.toString("utf8", 1).split(separator);
  const dropped = more.map((one, at): DropIn => ({ file: `${folder}/net/${at}.conf`, text: one }));
  let conf: NetworkConf;
  try {
    conf = parseConf(file, text, new Map([["net", dropped]]));
  } catch (error) {
    refused(error, "INVALID_ARGUMENT");
    assert.match((error as Error).message, /^CNI configuration "\/etc\/cni\/net\.d\//);
    return;
  }
  const written = JSON.parse(text) as Record<string, unknown>;
  const isList = file.endsWith("list") || Object.hasOwn(written, "plugins");
  assert.equal(conf.name, written["name"]);
  assert.ok(!/[/\0\n]|^\.*$/.test(conf.name), "a name that is no file's");
  const offered = new Set([...asList(written["cniVersions"]), ...asList(written["cniVersion"])]);
  const known = spoken.filter((version) => offered.has(version));
  assert.deepEqual(conf.offered, offered.size === 0 ? ["0.1.0"] : known);
  assert.equal(conf.cniVersion, conf.offered.at(-1));
  const isOn = (key: string): boolean => isList && String(written[key]) === "true";
  assert.equal(conf.disableCheck, isOn("disableCheck"));
  assert.equal(conf.disableGc, isOn("disableGC"));

  const inlined = isList ? asList(written["plugins"]) : [written];
  const isOpen = isList && conf.name === "net" && !isOn("loadOnlyInlinedPlugins");
  const others = isOpen ? dropped.map((one) => JSON.parse(one.text) as unknown) : [];
  const plugins = [...inlined, ...others] as Record<string, unknown>[];
  assert.equal(conf.plugins.length, plugins.length);
  for (const [at, { type, capabilities, raw }] of conf.plugins.entries()) {
    const plugin = plugins[at] ?? {};
    assert.equal(type, plugin["type"]);
    // It is looked for in the folders of plugins, and nowhere else.
    assert.equal(path.dirname(path.join("/opt/cni/bin", type)), "/opt/cni/bin");
    const wanted = Object.entries(plugin["capabilities"] ?? {}).filter(
      ([name, value]) => value === true && name !== "__proto__",
    );
    assert.deepEqual(
      capabilities,
      wanted.map(([name]) => name),
    );
    assert.equal(shown(raw), shown(plugin), "the plugin gets what was written");
    assert.equal(Object.getPrototypeOf(raw), Object.prototype);
  }
}

function asList(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

/** JSON with the keys in order. A key "__proto__" is no plugin's, and zod leaves it out where it checks. */
function shown(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(
      Object.entries(part)
        .filter(([key]) => key !== "__proto__")
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
  });
}
