// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { parseBlockioConfig } from "../../../src/cri/oci-spec/classes/blockio-config.ts";
import type { FuzzTarget } from "../target.ts";

/** The file of block I/O classes, YAML or JSON. */
export const target: FuzzTarget = {
  name: "blockio-classes",
  parses: [
    "src/cri/oci-spec/classes/blockio-config.ts",
    "src/cri/oci-spec/classes/rate.ts",
    "src/cri/oci-spec/parse-yaml.ts",
  ],
  maxBytes: 1024,
  dictionary: [
    "classes:\n",
    "  fast:\n",
    "Devices: [/dev/sd?]\n",
    "Weight: 50\n",
    "ThrottleReadBPS: 50M\n",
    "10Mi",
    "1e3",
    "? ",
    "<<: ",
    "&a ",
    "*a",
    "- ",
    "0660",
  ],
  *seeds() {
    yield Buffer.from(
      "Classes:\n  fast:\n  - Weight: 400\n  - Devices:\n    - /dev/vd*\n    ThrottleReadBPS: 50M\n    ThrottleWriteBPS: 10Mi\n    ThrottleReadIOPS: 10k\n    throttlewriteiops: 100\n  none:\n",
    );
    yield Buffer.from('{"classes":{"a":[{"devices":["/dev/x"],"weight":"10"}]}}');
  },
  run(input) {
    let classes: ReturnType<typeof parseBlockioConfig>;
    try {
      classes = parseBlockioConfig(input.toString("utf8"));
    } catch (error) {
      assert.ok(error instanceof Error && error.constructor === Error);
      assert.ok(
        error.message.length > 0 && error.message.length < 600 && !error.message.includes("\n"),
      );
      return;
    }
    for (const { devices, weight, ...throttle } of [...classes.values()].flat()) {
      for (const device of devices) assert.ok(device.startsWith("/"));
      if (weight !== undefined)
        assert.ok(Number.isInteger(weight) && weight >= 10 && weight <= 1000);
      const rates = Object.values(throttle).filter((rate) => rate !== undefined);
      assert.ok(devices.length > 0 || rates.length === 0);
      for (const rate of rates) assert.ok(rate >= 0n && rate < 1n << 64n, `rate ${rate}`);
    }
  },
};
