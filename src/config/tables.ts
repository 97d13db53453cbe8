// SPDX-License-Identifier: Apache-2.0
import { cni } from "./keys/cni.ts";
import { cri } from "./keys/cri.ts";
import { grpc } from "./keys/grpc.ts";
import { images } from "./keys/images.ts";
import { kubernetes } from "./keys/kubernetes.ts";
import { log } from "./keys/log.ts";
import { metrics } from "./keys/metrics.ts";
import { nri } from "./keys/nri.ts";
import { plugins } from "./keys/plugins.ts";
import { registry } from "./keys/registry.ts";
import { runtime } from "./keys/runtime.ts";
import { streaming } from "./keys/streaming.ts";
import { timeouts } from "./keys/timeouts.ts";

/** The tables of the configuration file, in the order of the reference. Above them are the keys of keys/daemon.ts. */
export const tables = {
  grpc,
  metrics,
  log,
  cni,
  registry,
  images,
  runtime,
  cri,
  streaming,
  plugins,
  nri,
  kubernetes,
  timeouts,
};
