// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { before, suite, test } from "node:test";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import { cniBinFolder } from "../../../support/lacking.ts";
import { run } from "../../../support/run.ts";
import { until } from "../../../support/until.ts";

const berth = path.resolve(import.meta.dirname, "../../../../bin/berth");

/** What only a node of a real cluster can have wrong with it. */
export function doctor(cluster: () => Cluster): void {
  suite("the doctor on a node", () => {
    let kubeconfig: string;
    before(async () => {
      kubeconfig = await cluster().credentials.kubeconfig("doctor", "system:masters");
    });

    /** What is not well, by one check. */
    const finds = async (check: string): Promise<string[]> => {
      const flags = ["--json", "--only", check, "--kubeconfig", kubeconfig];
      const [first = "", ...rest] = cluster().nodes[0].box.inside([berth, "doctor", ...flags]);
      const { stdout, stderr } = await run(first, rest, { timeoutMs: 120_000 });
      assert.equal(stderr, "");
      const { findings } = JSON.parse(stdout) as { findings: Record<string, string>[] };
      return findings.filter(({ level }) => level !== "ok").map(({ what = "" }) => what);
    };

    test("names a RuntimeClass whose handler the node lacks, until it is gone", async () => {
      const says =
        "this node has no handler nowhere-to-be-found, which RuntimeClass without-handler names";
      assert.ok(!(await finds("classes")).includes(says));
      const { client } = cluster();
      const [kind, apiVersion, name] = ["RuntimeClass", "node.k8s.io/v1", "without-handler"];
      const made = { apiVersion, kind, metadata: { name }, handler: "nowhere-to-be-found" };
      await client.create(made);
      assert.ok((await finds("classes")).includes(says));
      await client.remove(kind, apiVersion, name);
      assert.ok(!(await finds("classes")).includes(says));
    });

    /** It gives each plugin seconds to answer, and on a busy machine one may have them once. */
    const findsNothing = (check: string): Promise<unknown> =>
      until("nothing is found", async () => {
        assert.deepEqual(await finds(check), []);
        return true;
      });

    test("names a plugin that is gone, though NetworkReady holds", async () => {
      await findsNothing("cni");
      const { box, peer } = cluster().nodes[0];
      const folder = cniBinFolder();
      await box.must("mount", ["-t", "tmpfs", "tmpfs", folder]);
      try {
        const { status } = await peer.client("runtime.v1.RuntimeService").Status({});
        assert.ok(status?.conditions.every((it) => it.status));
        assert.match(
          (await finds("cni")).join("\n"),
          /CNI plugin "bridge" of network .* is not in/,
        );
      } finally {
        await box.must("umount", [folder]);
      }
      await findsNothing("cni");
    });
  });
}
