// SPDX-License-Identifier: Apache-2.0
import { driverSuite } from "../guest/driver-suite.ts";

// As deploy/config.toml has it.
driverSuite("systemd");
