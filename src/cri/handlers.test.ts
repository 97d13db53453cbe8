// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RuntimeHandlerConfig } from "../config/config.ts";
import { unpackAny } from "../rpc/codec.ts";
import { handlerFor, runtimeOptions } from "./handlers.ts";

const plain: RuntimeHandlerConfig = {
  type: "io.containerd.runc.v2",
  shim: "",
  shimLaunch: "auto",
  binaryName: "",
  systemdCgroup: false,
  options: {},
  podAnnotations: [],
  containerAnnotations: [],
  privilegedWithoutHostDevices: false,
  baseRuntimeSpec: "",
  cgroupWritable: false,
};

describe("handlerFor", () => {
  const runtime = { defaultHandler: "runc", handlers: { runc: plain, crun: plain } };

  it("takes the default for no name", () => {
    assert.equal(handlerFor(runtime, "").name, "runc");
    assert.equal(handlerFor(runtime, "crun").name, "crun");
  });

  for (const name of ["kata", "constructor"]) {
    it(`does not know "${name}"`, () => {
      assert.throws(() => handlerFor(runtime, name), {
        code: "NOT_FOUND",
        message: `no runtime for "${name}" is configured`,
      });
    });
  }
});

describe("runtimeOptions", () => {
  it("reads snake_case and CamelCase names alike", () => {
    for (const options of [
      { Root: "/run/x", NoPivotRoot: true, IoUid: 1000 },
      { root: "/run/x", no_pivot_root: true, io_uid: 1000 },
    ]) {
      const config = { ...plain, binaryName: "/usr/bin/crun", systemdCgroup: true, options };
      const any = runtimeOptions({ name: "x", config });
      assert.equal(any.type_url, "containerd.runc.v1.Options");
      const decoded = unpackAny("containerd.runc.v1.Options", any);
      assert.equal(decoded?.root, "/run/x");
      assert.equal(decoded?.noPivotRoot, true);
      assert.equal(decoded?.ioUid, 1000);
      assert.equal(decoded?.binaryName, "/usr/bin/crun");
      assert.equal(decoded?.systemdCgroup, true);
    }
  });

  it("refuses an option that it does not know", () => {
    const config = { ...plain, options: { Rooot: "/run/x" } };
    assert.throws(() => runtimeOptions({ name: "runc", config }), {
      code: "INVALID_ARGUMENT",
      message: 'runtime "runc" has an unknown option "Rooot"',
    });
  });
});
