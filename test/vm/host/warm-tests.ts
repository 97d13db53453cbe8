// SPDX-License-Identifier: Apache-2.0
// Loads what the virtual machine's tests share, so that Node has compiled it; runs on the host.
import "../../../scripts/test/node-test-step.ts";
import "../../support/critest-images.ts";
import "../../support/critest-run.ts";
import "../../support/prometheus-text.ts";
import "../../support/registry.ts";
import "../guest/cri-metric-names.ts";
import "../guest/driver-suite.ts";
import "../guest/kubelet.ts";
import "../guest/node.ts";
import "../guest/readme-steps.ts";
