// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codec, packAny, unpackAny } from "../../rpc/codec.ts";
import { parseVersion, programOf, type ShimBinary } from "./binary.ts";
import { parseBootstrapAnswer, socketPathOf } from "./bootstrap-answer.ts";
import { bootstrapInput, likelyDialect } from "./bootstrap-input.ts";

const address = "unix:///run/containerd/s/0123abcd";
const result = codec("containerd.runtime.bootstrap.v1.BootstrapResult");

const answers: {
  name: string;
  stdout: string | Buffer;
  version: number;
  address?: string;
}[] = [
  { name: "the plain address of 1.x", stdout: address, version: 2 },
  { name: "a plain address with a line end", stdout: `${address}\n`, version: 2 },
  {
    name: "an address with a space",
    stdout: "unix:///run/a b/s",
    version: 2,
    address: "unix:///run/a b/s",
  },
  { name: "a greeting before the address", stdout: `starting\n${address}\n`, version: 2 },
  { name: "JSON", stdout: JSON.stringify({ version: 3, address, protocol: "ttrpc" }), version: 3 },
  { name: "JSON without version and protocol", stdout: JSON.stringify({ address }), version: 2 },
  {
    name: "protobuf",
    stdout: result.encode({ version: 3, address, protocol: "ttrpc" }),
    version: 3,
  },
  {
    name: "protobuf with extensions, which say what a shim of containerd 2.4 mounts by itself",
    stdout: result.encode({
      version: 3,
      address,
      protocol: "ttrpc",
      extensions: [
        { value: packAny("containerd.types.MountCapabilities", { types: ["overlay", "erofs"] }) },
        { value: { type_url: "test.later", value: Buffer.from("later") } },
      ],
    }),
    version: 3,
  },
  { name: "protobuf without protocol", stdout: result.encode({ version: 2, address }), version: 2 },
];

for (const { name, stdout, version, address: told = address } of answers) {
  test(`parseBootstrapAnswer reads ${name}`, () => {
    const answer = parseBootstrapAnswer(Buffer.from(stdout));
    assert.deepEqual(answer, { version, address: told, protocol: "ttrpc" });
  });
}

const refused = [
  { name: "nothing", stdout: "", code: "INTERNAL" },
  { name: "words", stdout: "no address here", code: "INTERNAL" },
  {
    name: "a newer version",
    stdout: JSON.stringify({ version: 4, address }),
    code: "UNIMPLEMENTED",
  },
  {
    name: "gRPC",
    stdout: JSON.stringify({ version: 3, address, protocol: "grpc" }),
    code: "UNIMPLEMENTED",
  },
];
for (const { name, stdout, code } of refused) {
  test(`parseBootstrapAnswer refuses ${name}`, () => {
    assert.throws(() => parseBootstrapAnswer(Buffer.from(stdout)), { code });
  });
}

test("parseBootstrapAnswer answers or throws a fault for any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        parseBootstrapAnswer(Buffer.from(bytes));
      } catch (error) {
        assert.equal((error as Error).name, "RuntimeFault");
      }
    }),
  );
});

test("socketPathOf takes unix sockets only", () => {
  assert.equal(socketPathOf(address), "/run/containerd/s/0123abcd");
  assert.equal(socketPathOf("/run/x"), "/run/x");
  const long = `unix:///${"x".repeat(107)}`; // one more than fits
  assert.equal(socketPathOf(long.slice(0, -1)).length, 107);
  for (const bad of ["vsock://3:1024", "tcp://1.2.3.4", "relative", "unix:///a\0b", long]) {
    assert.throws(() => socketPathOf(bad), { code: "INVALID_ARGUMENT" });
  }
});

const options = packAny("containerd.runc.v1.Options", { shimCgroup: "/x" });
const facts = {
  namespace: "k8s.io",
  id: "c1",
  grpcAddress: "/run/b.sock",
  ttrpcAddress: "/run/b.sock.ttrpc",
  publishBinary: "berthd",
};
const runc = (version: ShimBinary["version"]): ShimBinary => ({
  path: "/s",
  isRunc: true,
  version,
});
const inputs: { name: string; binary: ShimBinary; kind: "params" | "options" }[] = [
  { name: "runc 1.6", binary: runc([1, 6]), kind: "options" },
  { name: "runc 1.7", binary: runc([1, 7]), kind: "options" },
  { name: "runc 2.2", binary: runc([2, 2]), kind: "options" },
  { name: "runc 2.3", binary: runc([2, 3]), kind: "params" },
  { name: "runc 3.0", binary: runc([3, 0]), kind: "params" },
  { name: "runc without a version", binary: runc(undefined), kind: "params" },
  { name: "somebody else's 2.3", binary: { ...runc([2, 3]), isRunc: false }, kind: "options" },
];
for (const { name, binary, kind } of inputs) {
  test(`bootstrapInput for ${name}`, () => {
    const dialect = likelyDialect(binary);
    const withOptions = bootstrapInput(dialect, { ...facts, options });
    const without = bootstrapInput(dialect, { ...facts, options: null });
    assert.equal(dialect, kind);
    if (kind === "options") {
      assert.deepEqual(codec("google.protobuf.Any").decode(withOptions), options);
      assert.equal(without.byteLength, 0);
      return;
    }
    const params = codec("containerd.runtime.bootstrap.v1.BootstrapParams").decode(withOptions);
    assert.equal(params.instanceId, "c1");
    assert.equal(params.containerdTtrpcAddress, "/run/b.sock.ttrpc");
    const sent = unpackAny("containerd.runc.v1.Options", params.extensions[0]?.value);
    assert.equal(sent?.shimCgroup, "/x");
    assert.ok(without.byteLength > 0);
  });
}

test("programOf names the shim of a runtime", () => {
  assert.equal(programOf("io.containerd.runc.v2"), "containerd-shim-runc-v2");
  assert.equal(programOf("io.containerd.kata-qemu.v2"), "containerd-shim-kata-qemu-v2");
  for (const bad of ["runc", "", "a..b", "a.b c", "../x.y"]) {
    assert.throws(() => programOf(bad), { code: "INVALID_ARGUMENT" });
  }
});

test("parseVersion reads what -v prints", () => {
  const cases: [string, readonly [number, number] | undefined][] = [
    ["/usr/bin/containerd-shim-runc-v2:\n  Version:  1.6.20~ds1\n  Revision: x\n", [1, 6]],
    ["shim:\n  Version:  2.3.4+unknown\n", [2, 3]],
    ["Version: v2.10.0-rc.1", [2, 10]],
    ["  Version:  <unknown>\n  Go version: go1.26.8\n", undefined],
    ["flag provided but not defined: -v", undefined],
  ];
  for (const [text, version] of cases) assert.deepEqual(parseVersion(text), version);
});
