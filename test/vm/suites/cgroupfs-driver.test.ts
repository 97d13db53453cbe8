// SPDX-License-Identifier: Apache-2.0
import { after, before } from "node:test";
import { driverSuite } from "../guest/driver-suite.ts";
import { reconfigure } from "../guest/node.ts";

const file = "70-cgroupfs.toml";

before(() => reconfigure(file, "[runtime.handlers.runc]\nsystemd_cgroup = false\n"));
after(() => reconfigure(file, ""));

driverSuite("cgroupfs");
