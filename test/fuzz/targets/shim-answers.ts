// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { fault } from "../../../src/base/errors.ts";
import { parseRuntimeFeatures } from "../../../src/cri/oci-spec/runtime-features.ts";
import { codec } from "../../../src/rpc/codec.ts";
import { criuReasons } from "../../../src/runtime/bundle/criu-fault.ts";
import { parseVersion, programOf } from "../../../src/runtime/shim/binary.ts";
import {
  type Bootstrap,
  parseBootstrapAnswer,
  socketPathOf,
} from "../../../src/runtime/shim/bootstrap-answer.ts";
import { shimFault } from "../../../src/runtime/shim/shim-fault.ts";
import { ByteSource } from "../byte-source.ts";
import { type FuzzTarget, refused } from "../target.ts";

const result = codec("containerd.runtime.bootstrap.v1.BootstrapResult");

/** What shims and OCI runtimes print: the answer of a start, versions, features, errors, CRIU's log. */
export const target: FuzzTarget = {
  name: "shim-answers",
  parses: [
    "src/runtime/shim/bootstrap-answer.ts",
    "src/runtime/shim/binary.ts",
    "src/runtime/shim/shim-fault.ts",
    "src/runtime/bundle/criu-fault.ts",
    "src/cri/oci-spec/runtime-features.ts",
  ],
  dictionary: [
    "null",
    "unix:///",
    "vsock://",
    '"address":',
    '"version":',
    '"protocol":',
    "ttrpc",
    "Version:",
    "v1.6",
    "Error (",
    "container not running",
    "already exists",
    "\n",
  ],
  seeds: () =>
    [
      "\0unix:///run/containerd/s/abc",
      '\0{"version":3,"address":"unix:///run/s","protocol":"ttrpc"}',
      "\0null",
      "\0hello\n/run/containerd/s/abc\n",
      "\0containerd-shim-runc-v2:\n  Version:  1.6.20~ds1\n  Revision: 1.6.20~ds1-1\n",
      '\0{"ociVersionMin":"1.0.0","mountOptions":["rro"],"linux":{"namespaces":["user"],"mountExtensions":{"idmap":{"enabled":true}}}}',
      "\0(00.017) Error (criu/vdso.c:381): vdso: no\n(00.018)      1: Error (criu/x.c:1): Dumping FAILED.\n",
      '\0OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown',
      "\u0001\u0005abc",
    ]
      .map((text) => Buffer.from(text))
      .concat([
        Buffer.concat([
          Buffer.from([0]),
          result.encode({ version: 3, address: "unix:///run/s", protocol: "ttrpc" }),
        ]),
      ]),
  run: (input) => {
    const source = new ByteSource(input);
    if (source.bool()) checkDrawn(source);
    else checkAny(source.rest());
  },
};

function checkDrawn(source: ByteSource): void {
  const version = source.below(5);
  const path = `/${source.text(20).replaceAll(/[\0\s�]/g, "_")}`;
  const address = source.pick(["unix://", ""]) + path;
  const protocol = source.pick(["ttrpc", "", "grpc"]);
  const form = source.below(3);
  const greeting = source.pick(["", "hello\n", "{}\n"]);
  const text =
    form === 0
      ? result.encode({ version: version + 1, address, protocol })
      : Buffer.from(
          form === 1 ? JSON.stringify({ version, address, protocol }) : `${greeting}${address}\n`,
        );
  const wanted: Bootstrap =
    form === 2
      ? { version: 2, address, protocol: "ttrpc" }
      : { version: form === 0 ? version + 1 : version, address, protocol: protocol || "ttrpc" };
  let answer: Bootstrap;
  try {
    answer = parseBootstrapAnswer(text);
  } catch (error) {
    refused(error, "UNIMPLEMENTED");
    return assert.ok(wanted.version > 3 || wanted.protocol !== "ttrpc");
  }
  assert.ok(wanted.version <= 3 && wanted.protocol === "ttrpc");
  assert.deepEqual(answer, wanted);
  assert.equal(socketPathOf(answer.address), path);
}

function checkAny(bytes: Buffer): void {
  const text = bytes.toString("utf8");
  checkBootstrap(bytes);
  checkVersion(text);
  checkProgram(text);
  checkFault(text);
  checkReasons(text);
  checkFeatures(text);
}

function checkBootstrap(bytes: Buffer): void {
  let answer: Bootstrap;
  try {
    answer = parseBootstrapAnswer(bytes);
  } catch (error) {
    return refused(error, "INTERNAL", "UNIMPLEMENTED");
  }
  assert.ok(
    Number.isInteger(answer.version) && answer.version >= 0 && answer.version <= 3,
    `version ${answer.version}`,
  );
  assert.equal(answer.protocol, "ttrpc");
  try {
    const path = socketPathOf(answer.address);
    assert.ok(path.startsWith("/") && !path.includes("\0"));
  } catch (error) {
    refused(error, "INVALID_ARGUMENT");
  }
}

function checkVersion(text: string): void {
  const version = parseVersion(text);
  const [, major, minor] = /version:\s*v?([0-9]+)\.([0-9]+)/i.exec(text) ?? [];
  assert.deepEqual(version, major === undefined ? undefined : [Number(major), Number(minor)]);
}

function checkProgram(text: string): void {
  try {
    const program = programOf(text);
    assert.match(program, /^containerd-shim-[A-Za-z0-9_-]+-[A-Za-z0-9_-]+$/);
    assert.ok(
      text.endsWith(program.slice("containerd-shim-".length).replace("-", ".")) ||
        text.includes("-"),
    );
  } catch (error) {
    refused(error, "INVALID_ARGUMENT");
  }
}

/** A shim's words keep their meaning, and a code that is one is believed. */
function checkFault(text: string): void {
  const given = shimFault(fault("UNKNOWN", text), "cannot exec");
  assert.ok(given.message.startsWith("cannot exec: ") && given.message.endsWith(text));
  assert.equal(shimFault(fault("UNAVAILABLE", text), "x").code, "UNAVAILABLE");
  assert.notEqual(given.code, "INTERNAL");
  if (/container not running/.test(text) && !/cannot (delete|remove)/i.test(text))
    assert.equal(given.code, "FAILED_PRECONDITION");
}

function checkReasons(text: string): void {
  const wanted = text.split("\n").flatMap((line) => {
    const at = /^\([0-9.]+\)\s/.test(line) ? line.indexOf("Error (") : -1;
    const end = at < 0 ? -1 : line.indexOf("):", at);
    if (
      end < 0 ||
      !/^\([0-9.]+\)\s+(?:[0-9]+:\s+)?$/.test(line.slice(0, at)) ||
      line.slice(at, end).includes(")")
    )
      return [];
    const reason = line.slice(end + 2).trim();
    return reason === "" || reason.startsWith("Dumping FAILED") ? [] : [reason];
  });
  if (!/[\r\u2028\u2029\u0085\ufeff]/.test(text)) assert.deepEqual(criuReasons(text), wanted);
}

function checkFeatures(text: string): void {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return assert.throws(() => parseRuntimeFeatures(text, "6.1.0"), SyntaxError);
  }
  if (typeof json !== "object" || json === null) return;
  const features = parseRuntimeFeatures(text, "6.1.0");
  const { memoryPolicies, mountOptions, ...others } = features;
  for (const policy of memoryPolicies) assert.equal(typeof policy, "string");
  for (const option of mountOptions) assert.match(option, /^r?no[a-z]+$/);
  for (const value of Object.values(others)) assert.equal(typeof value, "boolean");
  const old = parseRuntimeFeatures(text, "5.10.0");
  assert.deepEqual(
    [old.recursiveReadOnlyMounts, old.idmapMounts, old.userNamespaces],
    [false, false, false],
  );
}
