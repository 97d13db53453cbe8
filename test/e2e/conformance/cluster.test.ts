// SPDX-License-Identifier: Apache-2.0
// Kubernetes with two nodes, each a Berth, a kubelet and a kube-proxy in a network of their own. All parts share one
// cluster: each has a namespace in it.
import { after, before, suite } from "node:test";
import { type Cluster, clusterPrograms, openCluster } from "../../support/cluster/cluster.ts";
import { tellFailures } from "../../support/cluster/tell-failures.ts";
import { autoscaling } from "./cluster/autoscaling.ts";
import { badDays } from "./cluster/bad-days.ts";
import { controllers } from "./cluster/controllers.ts";
import { crowd } from "./cluster/crowd.ts";
import { doctor } from "./cluster/doctor.ts";
import { pods } from "./cluster/pods.ts";
import { pressure } from "./cluster/pressure.ts";
import { services } from "./cluster/services.ts";

const programs = await clusterPrograms();

suite("a cluster of two nodes on Berth", { skip: "skip" in programs && programs.skip }, () => {
  let cluster: Cluster;
  before(async () => {
    if ("skip" in programs) return;
    cluster = await openCluster(programs, { diskBytes: 512 << 20 });
  });
  after(() => cluster?.finish());
  tellFailures(() => cluster?.client);

  services(() => cluster);
  pods(() => cluster);
  controllers(() => cluster);
  crowd(() => cluster);
  doctor(() => cluster);
  autoscaling(() => cluster);
  pressure(() => cluster);
  badDays(() => cluster);
});
