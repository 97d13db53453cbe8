// SPDX-License-Identifier: Apache-2.0
// The streaming worker, which dies when a test says so on the channel "streaming worker, die".
import "../../../src/streaming/worker.ts";

const channel = new BroadcastChannel("streaming worker, die");
channel.addEventListener("message", () => {
  queueMicrotask(() => {
    throw new Error("the test said so");
  });
});
