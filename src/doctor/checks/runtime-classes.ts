// SPDX-License-Identifier: Apache-2.0

import { toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { run } from "../../base/process.ts";
import { shortened } from "../../base/shortened.ts";
import type { Check } from "../check.ts";
import { type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

const answerMs = 10_000;

export const runtimeClasses: Check = {
  name: "classes",
  about: "RuntimeClasses whose handler this node lacks (with --kubeconfig)",
  run: async (patient, { signal }) => {
    const { kubeconfig, config } = patient;
    if (kubeconfig === undefined) return [ok("RuntimeClasses are looked at with --kubeconfig")];
    const kubectl = await findKubectl(patient);
    const unknown = "whether pods of all RuntimeClasses could start here is not known";
    if (kubectl === undefined) {
      const mend = "kubectl get runtimeclasses, and compare their handlers with berth status";
      return [note({ what: "there is no kubectl on this node", why: unknown, mend })];
    }
    const asked = ["get", "runtimeclasses.node.k8s.io", "-o", "json", "--request-timeout=5s"];
    try {
      const options = { signal, timeoutMs: answerMs, env: { HOME: "/nonexistent" } };
      const { stdout } = await run(kubectl, ["--kubeconfig", kubeconfig, ...asked], options);
      const found = lacking(
        JSON.parse(stdout.toString()),
        new Set(Object.keys(config.runtime.handlers)),
      );
      return found.length > 0 ? found : [ok("this node has the handlers of all RuntimeClasses")];
    } catch (thrown) {
      signal.throwIfAborted();
      const what = `the API server does not tell RuntimeClasses: ${shortened(toFault(thrown).message, 300)}`;
      return [
        warning({
          what,
          why: unknown,
          mend: `kubectl --kubeconfig '${kubeconfig}' auth can-i list runtimeclasses`,
        }),
      ];
    }
  },
};

function lacking(list: unknown, handlers: ReadonlySet<string>): Finding[] {
  const items = isRecord(list) && Array.isArray(list["items"]) ? list["items"] : [];
  return items.flatMap((item: unknown) => {
    if (!isRecord(item) || !isRecord(item["metadata"])) return [];
    const { handler, scheduling, metadata } = item;
    const { name } = metadata;
    if (typeof handler !== "string" || typeof name !== "string" || handlers.has(handler)) return [];
    const isElsewhere = isRecord(scheduling) && isRecord(scheduling["nodeSelector"]);
    const trouble = {
      what: `this node has no handler ${handler}, which RuntimeClass ${name} names`,
      why: isElsewhere
        ? "its pods go to nodes that its nodeSelector chooses; this should be none of them"
        : "its pods may come here, and stay in ContainerCreating",
      mend: `[runtime.handlers.${handler}] in the configuration, or scheduling.nodeSelector in RuntimeClass ${name}`,
    };
    return [isElsewhere ? note(trouble) : warning(trouble)];
  });
}

async function findKubectl(patient: Patient): Promise<string | undefined> {
  const { host } = patient;
  for (const folder of await patient.searchPath()) {
    const file = `${folder}/kubectl`;
    if (((await host.stat(file).catch(() => undefined))?.mode ?? 0) & 0o111) return host.at(file);
  }
  return undefined;
}
