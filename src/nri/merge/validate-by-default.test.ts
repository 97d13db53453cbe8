// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { codec } from "../../rpc/codec.ts";
import type { ContainerAdjustmentInit, ContainerInit, PluginInstance } from "../messages.ts";
import { CreationMerge } from "./creation-merge.ts";
import { validateByDefault } from "./validate-by-default.ts";
import type { ValidatorRules } from "./validator-rules.ts";

const requests = codec("nri.pkg.api.v1alpha1.CreateContainerRequest");
const answers = codec("nri.pkg.api.v1alpha1.CreateContainerResponse");
const validations = codec("nri.pkg.api.v1alpha1.ValidateContainerAdjustmentRequest");

const noRules: ValidatorRules = {
  rejectOciHookAdjustment: false,
  rejectRuntimeDefaultSeccompAdjustment: false,
  rejectUnconfinedSeccompAdjustment: false,
  rejectCustomSeccompAdjustment: false,
  rejectNamespaceAdjustment: false,
  rejectSysctlAdjustment: false,
  requiredPlugins: [],
  tolerateMissingPluginsAnnotation: "",
};
const allRules: ValidatorRules = {
  ...noRules,
  rejectOciHookAdjustment: true,
  rejectRuntimeDefaultSeccompAdjustment: true,
  rejectUnconfinedSeccompAdjustment: true,
  rejectCustomSeccompAdjustment: true,
  rejectNamespaceAdjustment: true,
  rejectSysctlAdjustment: true,
};

interface Case {
  readonly adjust?: ContainerAdjustmentInit;
  readonly linux?: ContainerInit["linux"];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly plugins?: readonly PluginInstance[];
}

/** What plugins 10-a and 20-b, who want the same of hooks, have made of a container. */
function validate(rules: Partial<ValidatorRules>, of: Case): void {
  const request = requests.normalize({
    pod: { id: "pod", annotations: of.annotations ?? {} },
    container: { id: "it", name: "app", linux: of.linux },
  });
  const merge = new CreationMerge(request);
  merge.add("10-a", answers.normalize({ adjust: of.adjust }));
  merge.add("20-b", answers.normalize({ adjust: { hooks: of.adjust?.hooks } }));
  const { adjust, updates, owners } = merge.result();
  const { pod, container } = request;
  validateByDefault(
    { ...noRules, ...rules },
    validations.normalize({
      pod,
      container,
      adjust,
      update: updates,
      owners,
      plugins: of.plugins ?? [],
    }),
  );
}

const hooks = { hooks: { poststop: [{ path: "/h" }] } };
const seccomp = { linux: { seccompPolicy: { defaultAction: "SCMP_ACT_ALLOW" } } };
const profile = (profileType: "RUNTIME_DEFAULT" | "UNCONFINED" | "LOCALHOST") => ({
  seccompProfile: { profileType },
});

for (const { rule, adjust, linux, message } of [
  {
    rule: "rejectOciHookAdjustment",
    adjust: hooks,
    linux: {},
    message: 'plugins "10-a,20-b" attempted restricted OCI hook injection',
  },
  {
    rule: "rejectUnconfinedSeccompAdjustment",
    adjust: seccomp,
    linux: {},
    message: 'plugin "10-a" attempted restricted unconfined seccomp policy adjustment',
  },
  {
    rule: "rejectUnconfinedSeccompAdjustment",
    adjust: seccomp,
    linux: profile("UNCONFINED"),
    message: 'plugin "10-a" attempted restricted unconfined seccomp policy adjustment',
  },
  {
    rule: "rejectRuntimeDefaultSeccompAdjustment",
    adjust: seccomp,
    linux: profile("RUNTIME_DEFAULT"),
    message: 'plugin "10-a" attempted restricted runtime default seccomp policy adjustment',
  },
  {
    rule: "rejectCustomSeccompAdjustment",
    adjust: seccomp,
    linux: profile("LOCALHOST"),
    message: 'plugin "10-a" attempted restricted custom seccomp policy adjustment',
  },
  {
    rule: "rejectNamespaceAdjustment",
    adjust: { linux: { namespaces: [{ type: "-pid" }] } },
    linux: {},
    message: 'attempted restricted namespace adjustment by plugin(s) "10-a" (namespace "pid")',
  },
  {
    rule: "rejectSysctlAdjustment",
    adjust: { linux: { sysctl: { "net.a": "1" } } },
    linux: {},
    message: 'attempted restricted sysctl adjustment by plugin(s) "10-a"',
  },
  {
    rule: "rejectSysctlAdjustment",
    adjust: { linux: { sysctl: { "-net.a": "" } } },
    linux: {},
    message: 'attempted restricted sysctl adjustment by plugin(s) "10-a"',
  },
] as const) {
  test(`${rule} refuses what it names, and nothing else does: ${message}`, () => {
    assert.throws(() => validate({ [rule]: true }, { adjust, linux }), {
      code: "FAILED_PRECONDITION",
      message: `validation error: ${message}`,
    });
    validate({ ...allRules, [rule]: false }, { adjust, linux });
  });
}

test("all rules let pass what none is about", () => {
  validate(allRules, {});
  validate(allRules, { adjust: { annotations: { k: "1" }, linux: { cgroupsPath: "/x" } } });
});

const present = [{ index: "10", name: "a" }];
const key = "required-plugins.noderesource.dev";
for (const { name, required = [], annotations = {}, missing } of [
  { name: "nothing is required", missing: undefined },
  { name: "by its name", required: ["a"], missing: undefined },
  { name: "by its index and name", required: ["10-a"], missing: undefined },
  { name: "by another index", required: ["11-a"], missing: /required plugin "11-a" not present/ },
  {
    name: "two that are not there",
    required: ["b", "a", "c"],
    missing: /required plugins "b,c" not present/,
  },
  { name: "by the pod", annotations: { [key]: "[ a, 'b' ]" }, missing: /plugin "b" not present/ },
  {
    name: "by the pod, in lines",
    annotations: { [`${key}/pod`]: "- a\n- b # why\n" },
    missing: /plugin "b" not present/,
  },
  {
    name: "the pod's scope is nearer",
    annotations: { [key]: "[b]", [`${key}/pod`]: "[a]" },
    missing: undefined,
  },
  {
    name: "the container's is nearest",
    annotations: { [`${key}/pod`]: "[b]", [`${key}/container.app`]: "[]" },
    missing: undefined,
  },
  {
    name: "another container's does not count",
    annotations: { [`${key}/container.other`]: "[b]" },
    missing: undefined,
  },
  {
    name: "both are asked for",
    required: ["c"],
    annotations: { [key]: "[b]" },
    missing: /plugins "c,b" not present/,
  },
  { name: "an empty annotation", annotations: { [key]: " " }, missing: undefined },
  {
    name: "no list",
    annotations: { [key]: "a" },
    missing: /annotation required-plugins\.noderesource\.dev of the pod is no list/,
  },
  { name: "no names", annotations: { [key]: "[{a: b}]" }, missing: /is no list/ },
  {
    name: "too long a list",
    annotations: { [key]: `[${"a,".repeat(9999)}]` },
    missing: /is no list/,
  },
  {
    name: "a pod that tolerates",
    required: ["b"],
    annotations: { ok: "true", [key]: "[c]" },
    missing: undefined,
  },
  {
    name: "a container that does not",
    required: ["b"],
    annotations: { ok: "true", "ok/container.app": "False" },
    missing: /"b" not present/,
  },
  {
    name: "a toleration that says nothing",
    required: ["b"],
    annotations: { ok: "yes" },
    missing: /annotation ok of the pod is not true or false: "yes"/,
  },
  {
    name: "a toleration of JavaScript's",
    required: ["b"],
    annotations: { ok: "constructor" },
    missing: /is not true or false/,
  },
]) {
  test(`required plugins: ${name}`, () => {
    const rules = { requiredPlugins: required, tolerateMissingPluginsAnnotation: "ok" };
    const run = () => validate(rules, { annotations, plugins: present });
    if (missing === undefined) run();
    else assert.throws(run, missing);
  });
}

test("without the rule's name for it no annotation lets plugins be missing", () => {
  assert.throws(
    () => validate({ requiredPlugins: ["b"] }, { annotations: { "": "true" }, plugins: present }),
    /"b" not present/,
  );
});
