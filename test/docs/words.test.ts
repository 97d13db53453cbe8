// SPDX-License-Identifier: Apache-2.0
// What the pages quote of the program's own words, and the figures they give, are those of the code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { page, pages, root, sources } from "./pages.ts";

const code = sources("src/**/*.ts", "bin/*", "src/pause/*.c", "scripts/**/*");

/** Quoted in the pages, but said by programs that are not ours. */
const othersWords = [
  /^libatomic\.so\.1: /,
  /^start operation timed out$/,
  /^failed to set MOUNT_ATTR_IDMAP on …$/,
  /^blkio\.bfq\.weight_device: /,
  /^The server does not implement the method /,
  /^failed to mount … invalid argument$/,
];
const commands =
  /^(berthd?|ctr|crictl|npm|apparmor_parser|chmod|criu|grep|journalctl|runc|scripts\/setup\.sh|sysctl|systemctl|mount|install|apt-get|ip|iptables) /;

test("the messages that troubleshooting.md quotes are said by the program", () => {
  const unsaid: string[] = [];
  for (const span of page("docs/troubleshooting.md").spans) {
    if (!/[a-zA-Z]+ [a-zA-Z]/.test(span) || /^\[|^-| = |^\w+: \w+$/.test(span)) continue;
    if (commands.test(span) || othersWords.some((words) => words.test(span))) continue;
    // What varies: `…`, what stands in quotes, a NAME; and a cause has a place of its own in the code.
    const parts = span
      .split(/…|"[^"]*"|\bNAME\b|: |\.schemata|\buser(?= namespace: )/)
      .map((part) => part.trim());
    if (!parts.filter((part) => part.length > 3).every((part) => code.includes(part)))
      unsaid.push(span);
  }
  assert.deepEqual(unsaid, []);
});

test("the metrics that are named anywhere exist", () => {
  const files = [...pages.map(({ text }) => text), sources("deploy/prometheus/*")];
  const named = new Set(files.flatMap((text) => text.match(/\bberth_[a-z_]+[a-z]/g) ?? []));
  assert.ok(named.size > 4);
  // A registry puts `berth_`, or `berth_config_`, before the names that the code has.
  const known = (name: string) =>
    [name, name.replace(/^berth_/, ""), name.replace(/^berth_config_/, "")].some((each) =>
      code.includes(`"${each.replace(/_(bucket|count|sum)$/, "")}"`),
    );
  const unknown = [...named].filter((name) => name !== "berth_config" && !known(name));
  assert.deepEqual(unknown, []);
});

test("no page tells a kubelet's flag that stops one of 1.37 from starting", () => {
  const gone =
    /--(containerd(-namespace)?|application-metrics-count-limit|boot-id-file|container-hints|enable-load-reader|event-storage-\w+|global-housekeeping-interval|log-cadvisor-usage|machine-id-file|storage-driver-\w+)\b/;
  const texts = [
    ...pages.map(({ text }) => text),
    sources("deploy/**/*.*"),
    sources("test/support/kubelet/*"),
  ];
  assert.deepEqual(
    texts.flatMap((text) => text.match(gone)?.[0] ?? []),
    [],
  );
});

test("the number of the Tasks service's methods is that of the proto", () => {
  const methods = (file: string, service: string): number => {
    const text = readFileSync(path.join(root, "proto", file), "utf8");
    const body = new RegExp(`^service ${service} \\{([^]*?)^\\}`, "m").exec(text)?.[1] ?? "";
    return [...body.matchAll(/^\s*rpc /gm)].length;
  };
  const tasks = methods("tasks/tasks.proto", "Tasks");
  assert.ok(page("README.md").text.includes(`Tasks (${tasks} methods)`));
});

/** A page's words, and the line of code that makes them true. */
const figures: readonly (readonly [
  name: string,
  words: string,
  file: string,
  line: string | RegExp,
])[] = [
  [
    "README.md",
    "2 s by default",
    "src/config/keys/cri.ts",
    /exec_sync_drain_timeout",\s*kind: duration,\s*default: 2000,/,
  ],
  ["README.md", "`127.0.0.1:9464`", "src/config/keys/metrics.ts", '"127.0.0.1:9464"'],
  [
    "docs/troubleshooting.md",
    "older than a minute",
    "src/streaming/tokens.ts",
    "lifetimeMs = 60_000",
  ],
  [
    "docs/troubleshooting.md",
    "asked every five seconds",
    "src/network/status-monitor.ts",
    "defaultPollMs = 5000",
  ],
  [
    "docs/troubleshooting.md",
    "hangs (it has a minute)",
    "src/cri/sandbox/sandbox-take-down.ts",
    "networkMs = 60_000",
  ],
  [
    "docs/troubleshooting.md",
    "tried again after a minute",
    "src/network/janitor.ts",
    "firstRetryMs = 60_000",
  ],
  [
    "docs/troubleshooting.md",
    "up to once an hour",
    "src/network/janitor.ts",
    "lastRetryMs = 3_600_000",
  ],
  ["docs/troubleshooting.md", "The socket has mode 0660", "src/rpc/grpc-server.ts", /0o660/],
  [
    "docs/troubleshooting.md",
    "more than 4 MiB",
    "src/cri/oci-spec/cdi/cdi-registry.ts",
    "maxFileBytes = 4 * 1024 * 1024",
  ],
  [
    "docs/troubleshooting.md",
    "the unit in `deploy/` waits for ten",
    "deploy/systemd/berthd.service",
    "TimeoutStartSec=10min",
  ],
  [
    "docs/plugins.md",
    "left alone for ten seconds",
    "src/plugin/operator/plugin-host.ts",
    "restMs = 10_000",
  ],
  [
    "docs/plugins.md",
    "# of one call of a hook; default 2s",
    "src/config/keys/plugins.ts",
    /name: "timeout",\s*kind: duration,\s*default: 2000,/,
  ],
  [
    "docs/architecture.md",
    "pods wait ten seconds for it at most",
    "src/network/janitor.ts",
    "defaultGcMs = 10_000",
  ],
  ["deploy/README.md", "`KillMode=process`", "deploy/systemd/berthd.service", "KillMode=process"],
];

for (const [name, words, file, line] of figures) {
  test(`${name}: ${words}`, () => {
    const folded = (text: string): string => text.replaceAll(/\s+/g, " ");
    assert.ok(
      folded(page(name).text).includes(folded(words)),
      "the page says so no longer: take it off this list",
    );
    const text = readFileSync(path.join(root, file), "utf8");
    assert.ok(
      typeof line === "string" ? text.includes(line) : line.test(text),
      `${file} has no ${line}`,
    );
  });
}
