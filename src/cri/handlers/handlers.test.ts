// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "smol-toml";
import { checkConfig } from "../../config/check-config.ts";
import type { RuntimeHandlerConfig } from "../../config/config.ts";
import { defaultConfig } from "../../config/defaults.ts";
import { runcOptionNames } from "../../config/runc-options.ts";
import { unpackAny } from "../../rpc/codec.ts";
import { describeOptions, handlerFor, runtimeOptions } from "./handlers.ts";

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
      assert.equal(any?.type_url, "containerd.runc.v1.Options");
      const decoded = unpackAny("containerd.runc.v1.Options", any);
      assert.equal(decoded?.root, "/run/x");
      assert.equal(decoded?.noPivotRoot, true);
      assert.equal(decoded?.ioUid, 1000);
      assert.equal(decoded?.binaryName, "/usr/bin/crun");
      assert.equal(decoded?.systemdCgroup, true);
    }
  });

  it("passes on every option that the configuration takes", () => {
    for (const [field, name] of Object.entries(runcOptionNames)) {
      const value = /^(io|taskApiVersion)/.test(field)
        ? 3
        : /^(no|systemd)/.test(field)
          ? true
          : "/x";
      const handler = { ...plain, options: { [name]: value } };
      checkConfig(
        {
          ...defaultConfig,
          runtime: { ...defaultConfig.runtime, handlers: { runc: plain, x: handler } },
        },
        () => "",
      );
      const decoded = unpackAny(
        "containerd.runc.v1.Options",
        runtimeOptions({ name: "x", config: handler }),
      );
      assert.equal(decoded?.[field as keyof typeof decoded], value, name);
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

describe("runtimeOptions of a shim that is not runc's", () => {
  const other = { ...plain, type: "io.containerd.runsc.v1" };
  const decode = (options: RuntimeHandlerConfig["options"]) => {
    const any = runtimeOptions({ name: "gvisor", config: { ...other, options } });
    assert.equal(any?.type_url, "runtimeoptions.v1.Options");
    const { typeUrl, configPath, configBody } = unpackAny("runtimeoptions.v1.Options", any) ?? {};
    return { typeUrl, configPath, body: configBody?.toString() };
  };

  it("are none without a table", () => {
    assert.equal(runtimeOptions({ name: "gvisor", config: other }), null);
  });

  it("name the file of its settings", () => {
    const options = { TypeUrl: "io.containerd.runsc.v1.options", ConfigPath: "/etc/runsc.toml" };
    assert.deepEqual(decode(options), {
      typeUrl: "io.containerd.runsc.v1.options",
      configPath: "/etc/runsc.toml",
      body: "",
    });
  });

  it("are the whole table as TOML without a file", () => {
    const options = {
      TypeUrl: "io.containerd.runsc.v1.options",
      shim_cgroup: "/shims",
      level: 3,
      runsc_config: { platform: "systrap", "net-raw": "true", flags: ["a", "b"] },
    };
    const { typeUrl, configPath, body } = decode(options);
    assert.equal(typeUrl, "io.containerd.runsc.v1.options");
    assert.equal(configPath, "");
    assert.deepEqual(structuredClone(parse(body ?? "")), options);
  });

  it("carry nothing that is runc's", () => {
    const config = { ...other, binaryName: "/usr/bin/runc", systemdCgroup: true };
    assert.equal(runtimeOptions({ name: "gvisor", config }, { ioUid: 5 }), null);
    assert.deepEqual(describeOptions({ name: "gvisor", config }), {});
  });

  it("cannot restore a checkpoint", () => {
    const restore = { criuImagePath: "/checkpoint" };
    assert.throws(() => runtimeOptions({ name: "gvisor", config: other }, restore), {
      code: "FAILED_PRECONDITION",
      message: 'runtime "gvisor" cannot restore a checkpoint',
    });
  });
});

describe("describeOptions", () => {
  it("tells of runc shims what is set beside the table", () => {
    const config = { ...plain, binaryName: "/usr/bin/crun", options: { Root: "/run/x" } };
    assert.deepEqual(describeOptions({ name: "crun", config }), {
      Root: "/run/x",
      BinaryName: "/usr/bin/crun",
      SystemdCgroup: false,
    });
  });
});
