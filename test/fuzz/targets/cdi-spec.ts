// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { stringify } from "yaml";
import { type CdiSpec, parseCdiSpec } from "../../../src/cri/oci-spec/cdi/cdi-spec.ts";
import { ByteSource } from "../byte-source.ts";
import { present } from "../support/present.ts";
import { isSeldom, madeSeldom } from "../support/seldom.ts";
import type { FuzzTarget } from "../target.ts";

/** One text in so many is repeated up to this length, and one made file in so many is written as YAML too. */
const longOneIn = 1024;
const longChars = 32 * 1024;
const yamlOneIn = 8;

/** The text of a CDI file, JSON or YAML, or the bytes from which a valid one is made. */
export const target: FuzzTarget = {
  name: "cdi-spec",
  parses: [
    "src/cri/oci-spec/cdi/cdi-spec.ts",
    "src/cri/oci-spec/cdi/cdi-version.ts",
    "src/cri/oci-spec/cdi/cdi-names.ts",
    "src/cri/oci-spec/parse-json.ts",
    "src/cri/oci-spec/parse-yaml.ts",
  ],
  maxBytes: 1024,
  dictionary: [
    "cdiVersion: 1.1.0\n",
    "kind: vendor.com/gpu\n",
    "devices:\n- name: g0\n",
    "containerEdits:\n",
    "deviceNodes: [{path: /dev/null}]",
    "hooks:\n- hookName: createContainer\n  path: /x\n",
    "intelRdt: {closID: x}",
    "additionalGids: [1]",
    "&a [*a]",
    "<<: *a",
    "!!binary ",
    "0660",
    "? ",
    "--- ",
    "[[[[[[[[",
    "{{{{",
    '"__proto__"',
    "null",
    "~",
  ],
  *seeds() {
    const gpu = {
      cdiVersion: "0.6.0",
      kind: "vendor.com/gpu.x",
      annotations: { note: "1" },
      devices: [
        {
          name: "gpu0",
          containerEdits: {
            env: ["A=b"],
            deviceNodes: [
              {
                path: "/dev/gpu0",
                hostPath: "/dev/null",
                type: "c",
                major: 1,
                minor: 3,
                fileMode: 438,
                permissions: "rw",
                uid: 1,
                gid: 2,
              },
            ],
            mounts: [{ hostPath: "/a", containerPath: "/b", options: ["ro", "bind"] }],
          },
        },
      ],
      containerEdits: {
        hooks: [{ hookName: "prestart", path: "/bin/x", args: ["x"], timeout: 5 }],
      },
    };
    for (const text of [
      `\0${JSON.stringify(gpu)}`,
      `\x01${stringify(gpu)}`,
      "\x01a: [1",
      "\x01- a",
    ]) {
      yield Buffer.from(text);
      yield madeSeldom(Buffer.from(`${text}\n`), longOneIn, [" ", "\n"]);
    }
    yield Buffer.from(
      "\x01cdiVersion: 1.1.0\nkind: v.com/net\ndevices:\n- name: 0\n  containerEdits: &e\n    netDevices: [{hostInterfaceName: e0, name: e1}]\n    intelRdt: {closID: c, schemata: [a], enableMonitoring: true}\n- name: one\n  containerEdits: {<<: *e, additionalGids: [0, 7]}\n",
    );
    yield Buffer.from(
      `\x01a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n`,
    );
    // Keys that are compared each with all before it would take seconds.
    yield Buffer.from(`\x01${Array.from({ length: 12_000 }, (_, at) => `k${at}:\n`).join("")}`);
    yield Buffer.from(`\0{"${"k".repeat(700)}":1}`);
    yield Buffer.from(`\x01${"[".repeat(1000)}`);
    yield Buffer.from(`\x01${"- ".repeat(700)}`);
    yield Buffer.from(`\x01${"? ".repeat(700)}`);
    const made = Buffer.from(`\x02${"\x01\x02\x03\x05\x07name".repeat(12)}`);
    yield made;
    yield madeSeldom(made, yamlOneIn, ["\x00", "\x01"]);
  },
  run(input) {
    const kind = (input[0] ?? 0) % 3;
    const bytes = input.subarray(1);
    if (kind === 2) checkMade(new ByteSource(bytes), isSeldom(input, yamlOneIn));
    else {
      const text = bytes.toString("utf8");
      // What takes time out of proportion is seen only in long files.
      const times = isSeldom(input, longOneIn) ? Math.floor(longChars / (1 + text.length)) : 1;
      checkText(text.repeat(times), kind === 0 ? "json" : "yaml");
    }
  },
};

function checkText(text: string, format: "json" | "yaml"): void {
  let spec: CdiSpec;
  try {
    spec = parseCdiSpec(text, format);
  } catch (error) {
    // The registry tells it beside the file's name.
    assert.ok(error instanceof Error && error.constructor === Error, String(error));
    assert.ok(
      error.message.length > 0 && error.message.length < 600 && !error.message.includes("\n"),
    );
    return;
  }
  const names = spec.devices.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?$/);
  assert.match(spec.kind, /^[A-Za-z][\w.-]*\/[A-Za-z][\w.-]*$/);
  // What was understood means the same when it is written down. As text, which knows no difference between
  // what is undefined and what is left out: "permissions" may be either.
  const written = JSON.stringify(spec);
  assert.equal(JSON.stringify(parseCdiSpec(written, "json")), written);
  if (format === "yaml") assert.throws(() => parseCdiSpec(`${text}\n]\n`, "yaml"));
}

/** A valid file is taken whole in both formats, and what is left out of it stays out. */
function checkMade(bytes: ByteSource, alsoYaml: boolean): void {
  const made = makeFile(bytes);
  const expected = JSON.stringify(made);
  assert.equal(JSON.stringify(parseCdiSpec(expected, "json")), expected);
  if (alsoYaml) assert.equal(JSON.stringify(parseCdiSpec(stringify(made), "yaml")), expected);
  const older = { ...made, cdiVersion: "0.2.0" };
  assert.throws(() => parseCdiSpec(JSON.stringify(older), "json"), /cdiVersion must be at least/);
  for (const unknown of [
    { ...made, more: 1 },
    { ...made, containerEdits: { more: [] } },
  ]) {
    assert.throws(() => parseCdiSpec(JSON.stringify(unknown), "json"), /nrecognized key/);
  }
  const first = made.devices[0];
  const twice = { ...made, devices: [...made.devices, first] };
  assert.throws(() => parseCdiSpec(JSON.stringify(twice), "json"), /stands there twice/);
  const keyTwice = expected.replace("{", '{"kind":"v.com/other",');
  assert.throws(() => parseCdiSpec(keyTwice, "json"), /key "kind" stands there twice/);
}

function makeFile(bytes: ByteSource): CdiSpec {
  const devices = [0, 1, 2].slice(0, 1 + (bytes.byte() % 3)).map((at) => ({
    name: bytes.pick([`d${at}`, `D-${at}.x:${at}`, `${at}`]),
    containerEdits: { env: ["ALWAYS=1"], ...makeEdits(bytes) },
  }));
  const containerEdits = bytes.maybe(() => makeEdits(bytes));
  return present({
    cdiVersion: "1.1.0",
    kind: bytes.pick(["vendor.com/gpu", "v/c"]),
    devices,
    containerEdits,
  }) as CdiSpec;
}

function makeEdits(bytes: ByteSource): object {
  const number = (): number => bytes.byte() * 257;
  const word = (): string => `w${bytes.byte()}`;
  return present({
    deviceNodes: bytes.maybe(() =>
      bytes.list(3, () =>
        present({
          path: `/dev/${word()}`,
          hostPath: bytes.maybe(() => `/dev/${word()}`),
          type: bytes.maybe(() => bytes.pick(["b", "c", "u", "p"])),
          major: bytes.maybe(number),
          minor: bytes.maybe(number),
          fileMode: bytes.maybe(number),
          permissions: bytes.maybe(() => bytes.pick(["rwm", "r", "none"])),
          uid: bytes.maybe(number),
          gid: bytes.maybe(number),
        }),
      ),
    ),
    netDevices: bytes.maybe(() =>
      bytes.list(2, () => ({ hostInterfaceName: word(), name: word() })),
    ),
    hooks: bytes.maybe(() =>
      bytes.list(2, () =>
        present({
          hookName: bytes.pick([
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
          ]),
          path: `/${word()}`,
          args: bytes.maybe(() => bytes.list(3, word)),
          env: bytes.maybe(() => bytes.list(3, () => `${word()}=${word()}`)),
          timeout: bytes.maybe(number),
        }),
      ),
    ),
    mounts: bytes.maybe(() =>
      bytes.list(2, () =>
        present({
          hostPath: `/${word()}`,
          containerPath: `/${word()}`,
          options: bytes.maybe(() => bytes.list(3, word)),
          type: bytes.maybe(word),
        }),
      ),
    ),
    intelRdt: bytes.maybe(() =>
      present({
        closID: bytes.maybe(word),
        schemata: bytes.maybe(() => bytes.list(2, word)),
        enableMonitoring: bytes.maybe(() => true),
      }),
    ),
    additionalGids: bytes.maybe(() => bytes.list(3, number)),
  });
}
