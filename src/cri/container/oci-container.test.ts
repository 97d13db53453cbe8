// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { specOf } from "../../../test/support/spec-input.ts";
import { defaultHandler } from "../../config/defaults.ts";
import { containerRecordInit } from "./oci-container.ts";

test("labels that mean something to containerd do not come from images or pods", async () => {
  const init = containerRecordInit({
    id: "c1",
    kind: "container",
    labels: {
      app: "web",
      "io.kubernetes.pod.name": "web-0",
      "containerd.io": "a name like others",
      "containerd.io/restart.status": "running",
      "containerd.io/restart.loguri": "binary:///bin/sh?-c=id",
      "containerd.io/gc.root": "true",
      "containerd.io/gc.ref.content.0": "sha256:0",
      "io.containerd.image.config.stop-signal": "SIGSTOP",
      "io.cri-containerd.kind": "sandbox",
      "io.berth.cri.sandbox": "another",
      "nerdctl/log-uri": "binary:///bin/sh",
    },
    image: "localhost/app:1",
    stopSignal: "SIGINT",
    handler: { name: "runc", config: defaultHandler },
    spec: await specOf({}),
    sandboxId: "s1",
  });
  assert.deepEqual(init.labels, {
    app: "web",
    "io.kubernetes.pod.name": "web-0",
    "containerd.io": "a name like others",
    "io.containerd.image.config.stop-signal": "SIGINT",
    "io.cri-containerd.kind": "container",
  });
});
