// SPDX-License-Identifier: Apache-2.0
// A streaming worker that says that it listens, and answers nothing from then on.
import { parentPort } from "node:worker_threads";

parentPort?.on("message", () => {});
parentPort?.postMessage({ kind: "listening", address: "127.0.0.1:1" }, []);
