// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { run } from "../../../src/base/process.ts";
import type { CniConfig } from "../../../src/config/config.ts";
import { type CniPodNetwork, createPodNetwork } from "../../../src/network/cni.ts";
import { PinnedNamespaces } from "../../../src/network/pinned-namespaces.ts";
import type { PodNetworkRequest } from "../../../src/network/ports.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { type CniNetwork, makeCniNetwork } from "../../support/cni.ts";
import { cniBinFolder, lacking } from "../../support/lacking.ts";
import { iptablesRulesOf } from "../../support/leaks.ts";
import { scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";

const skip = lacking("ip", "iptables", "iptables-save", "nsenter", "busybox");
const call = { signal: AbortSignal.timeout(300_000) };

interface Setting {
  readonly root: string;
  readonly cni: CniNetwork;
  readonly config: CniConfig;
  readonly network: CniPodNetwork;
  /** A request with a namespace of its own. */
  readonly pod: (id: string, change?: Partial<PodNetworkRequest>) => Promise<PodNetworkRequest>;
}

async function setUp(t: TestContext): Promise<Setting> {
  const place = await scratch();
  const cni = await makeCniNetwork(path.join(place.path, "cni"), place.tag);
  const log = silentLogger;
  const namespaces = new PinnedNamespaces({
    folder: path.join(place.path, "netns"),
    program: pauseBinaryPath(),
    log,
  });
  const config: CniConfig = {
    confDir: cni.confDir,
    binDirs: [path.join(place.path, "plugins"), cniBinFolder()],
    maxConfNum: 1,
    ipPreference: "ipv4",
    runIdlePlugins: false,
    cacheDir: path.join(place.path, "cache"),
  };
  const network = await createPodNetwork({ config, log, timeouts: { cniMs: 20_000 } });
  t.after(async () => {
    await network[Symbol.asyncDispose]();
    await namespaces.removeAll(call);
    await namespaces[Symbol.asyncDispose]();
    await cni[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });
  const pod = async (
    id: string,
    change: Partial<PodNetworkRequest> = {},
  ): Promise<PodNetworkRequest> => ({
    sandboxId: `${place.tag}-${id}`,
    netnsPath: await namespaces.create(id, call),
    podName: id,
    podNamespace: "test",
    podUid: `uid-${id}`,
    annotations: {},
    portMappings: [],
    dns: { servers: [], searches: [], options: [] },
    cgroupPath: "",
    ...change,
  });
  return { root: place.path, cni, config, network, pod };
}

function leases(cni: CniNetwork): string[] {
  return fs.readdirSync(path.join(cni.dataDir, cni.name)).filter((name) => /^\d+\./.test(name));
}

function links(cni: CniNetwork): string[] {
  return fs.readdirSync(`/sys/class/net/${cni.bridge}/brif`);
}

async function inside(netns: string, ...command: readonly string[]): Promise<string> {
  return (await run("nsenter", [`--net=${netns}`, ...command])).stdout.toString("utf8");
}

/** A plugin made of shell lines; it has its input in $input. */
function fakePlugin(root: string, type: string, body: string): void {
  const folder = path.join(root, "plugins");
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, type), `#!/bin/sh\ninput=$(cat)\n${body}\n`, { mode: 0o755 });
}

/** Changes the configuration file; the network has to reload it. */
function editConf(cni: CniNetwork, edit: (plugins: readonly object[]) => readonly object[]): void {
  const [name] = fs.readdirSync(cni.confDir);
  const file = path.join(cni.confDir, name ?? "");
  const conf = JSON.parse(fs.readFileSync(file, "utf8")) as { plugins: object[] };
  fs.writeFileSync(file, JSON.stringify({ ...conf, plugins: edit(conf.plugins) }));
}

function useChain(cni: CniNetwork, ...plugins: readonly object[]): void {
  editConf(cni, (present) => [...present, ...plugins]);
}

test("two pods reach each other and leave nothing behind", { skip }, async (t) => {
  const { cni, network, pod } = await setUp(t);
  assert.equal(network.status().ready, true);
  const [a, b] = [await pod("a"), await pod("b")];
  const [first, second] = await Promise.all([network.setup(a, call), network.setup(b, call)]);
  assert.notEqual(first.ip, second.ip);
  assert.match(
    await inside(a.netnsPath, "ip", "-o", "addr", "show", "eth0"),
    new RegExp(`inet ${first.ip}/`),
  );
  await inside(a.netnsPath, "busybox", "ping", "-c", "1", "-W", "5", second.ip);
  assert.ok(cni.name in first.raw);
  assert.equal(leases(cni).length, 2);
  assert.equal(links(cni).length, 2);
  await Promise.all([network.teardown(a, call), network.teardown(b, call)]);
  assert.deepEqual([leases(cni), links(cni), await iptablesRulesOf(cni)], [[], [], []]);
  await network.teardown(a, call);
});

test("host ports are mapped and unmapped", { skip }, async (t) => {
  const { cni, network, pod, config } = await setUp(t);
  const hostPort = 20_000 + (process.pid % 10_000);
  const protocols = ["tcp", "udp", "sctp"] as const;
  const request = await pod("ports", {
    portMappings: protocols.map((protocol) => ({
      protocol,
      containerPort: 80,
      hostPort,
      hostIp: "",
    })),
  });
  await network.setup(request, call);
  const rules = (await iptablesRulesOf(cni)).join("\n");
  for (const protocol of protocols) {
    assert.match(rules, new RegExp(`-p ${protocol} .*--dports? ${hostPort}\\b`));
  }
  assert.equal(fs.readdirSync(config.cacheDir).length, 1);
  await network.teardown(request, call);
  assert.deepEqual(await iptablesRulesOf(cni), []);
  assert.deepEqual(fs.readdirSync(config.cacheDir), []);
});

// Without host ports: Debian 12's portmap (1.1.1) misses IPv6 rules of a pod that has no IPv6 address.
test("CHECK of the real plugins finds a pod in order, and then an address gone", {
  skip,
}, async (t) => {
  const { cni, network, pod } = await setUp(t);
  // Debian 12's bridge forgets its masquerading rules when the address is gone.
  editConf(cni, ([bridge, ...rest]) => [{ ...bridge, ipMasq: false }, ...rest]);
  await network.reload();
  const request = await pod("checked");
  await network.setup(request, call);
  await network.check(request, call);
  await inside(request.netnsPath, "ip", "addr", "flush", "dev", "eth0");
  await assert.rejects(network.check(request, call), {
    code: "UNKNOWN",
    message: /^CNI CHECK of plugin "bridge"/,
  });
  await network.teardown(request, call);
  assert.deepEqual([leases(cni), await iptablesRulesOf(cni)], [[], []]);
});

test("teardown works after a restart, a changed configuration and a vanished namespace", {
  skip,
}, async (t) => {
  const { cni, config, network, pod } = await setUp(t);
  // The bridge plugin forgets its masquerading rules when it is given no namespace (Debian 12's 1.1.1).
  editConf(cni, ([bridge, ...rest]) => [{ ...bridge, ipMasq: false }, ...rest]);
  await network.reload();
  const request = await pod("gone");
  await network.setup(request, call);
  for (const file of fs.readdirSync(cni.confDir)) fs.rmSync(path.join(cni.confDir, file));
  const next = await createPodNetwork({ config, log: silentLogger, timeouts: { cniMs: 20_000 } });
  t.after(() => next[Symbol.asyncDispose]());
  assert.equal(next.status().ready, false);
  assert.deepEqual(await next.attachedSandboxes(), [request.sandboxId]);
  await next.teardown({ ...request, netnsPath: "" }, call);
  assert.deepEqual(await next.attachedSandboxes(), []);
  assert.deepEqual([leases(cni), await iptablesRulesOf(cni)], [[], []]);
});

test("a plugin that fails is quoted, and what came before it is undone", { skip }, async (t) => {
  const { cni, network, pod, root } = await setUp(t);
  const said = '{"cniVersion":"1.0.0","code":111,"msg":"no quota","details":"for test"}';
  fakePlugin(root, "refuse", `[ "$CNI_COMMAND" = DEL ] && exit 0; echo '${said}'; exit 1`);
  useChain(cni, { type: "refuse" });
  await network.reload();
  const request = await pod("refused");
  await assert.rejects(network.setup(request, call), {
    code: "UNKNOWN",
    cniCode: 111,
    message: `CNI ADD of plugin "refuse" in network "${cni.name}": no quota: for test`,
  });
  assert.equal(leases(cni).length, 1);
  await network.teardown(request, call);
  const long = `head -c 100000 /dev/zero | tr '\\0' x`;
  fakePlugin(
    root,
    "refuse",
    `[ "$CNI_COMMAND" = DEL ] && exit 0; echo '{"code":111,"msg":"'$(${long})'"}'; exit 1`,
  );
  await assert.rejects(
    network.setup(request, call),
    ({ message }: Error) =>
      /: xx+ … \d+ characters left out … x+$/.test(message) && message.length < 5000,
  );
  await network.teardown(request, call);
  assert.deepEqual([leases(cni), links(cni)], [[], []]);
});

test("a plugin that hangs is killed with all it started, at its deadline or when cancelled", {
  skip,
}, async (t) => {
  const { cni, config, pod, root } = await setUp(t);
  const pidFile = path.join(root, "hanging");
  fakePlugin(
    root,
    "hang",
    `[ "$CNI_COMMAND" = DEL ] && exit 0; sleep 1000 & echo $! > "${pidFile}"; wait`,
  );
  useChain(cni, { type: "hang" });
  const network = await createPodNetwork({ config, log: silentLogger, timeouts: { cniMs: 1500 } });
  t.after(() => network[Symbol.asyncDispose]());
  const request = await pod("hanging");
  const isGone = (): boolean => {
    // Once dead it may stay a zombie until init has time for it.
    const pid = fs.readFileSync(pidFile, "utf8").trim();
    const state = `/proc/${pid}/stat`;
    return !fs.existsSync(state) || / Z /.test(fs.readFileSync(state, "utf8"));
  };
  await assert.rejects(network.setup(request, call), {
    code: "DEADLINE_EXCEEDED",
    message: /plugin "hang" in network .*: no answer within \d+ ms, killed$/,
  });
  await until("the hanging process is gone", isGone);
  await network.teardown(request, call);
  fs.rmSync(pidFile);

  const patient = await createPodNetwork({
    config,
    log: silentLogger,
    timeouts: { cniMs: 60_000 },
  });
  t.after(() => patient[Symbol.asyncDispose]());
  const aborter = new AbortController();
  const setup = patient.setup(request, { signal: aborter.signal });
  const rejected = assert.rejects(setup, { code: "CANCELLED" });
  await until("the plugin hangs", () => fs.existsSync(pidFile) && fs.statSync(pidFile).size > 0);
  aborter.abort();
  await rejected;
  await until("the hanging process is gone", isGone);
  await patient.teardown(request, call);
  assert.deepEqual([leases(cni), links(cni)], [[], []]);
});

test("DEL comes once more where ADD never ended: what that started may be in its way", {
  skip,
}, async (t) => {
  const { cni, config, network, pod, root } = await setUp(t);
  const mark = path.join(root, "in-the-way");
  const del = `{ [ -e '${mark}' ] && exit 0; touch '${mark}'; exit 1; }`;
  fakePlugin(root, "cut-off", `[ "$CNI_COMMAND" = DEL ] && ${del}; exit 1`);
  useChain(cni, { type: "cut-off" });
  await network.reload();
  const request = await pod("cut-off");
  await assert.rejects(network.setup(request, call), /CNI ADD of plugin "cut-off"/);
  await network.teardown(request, call);
  assert.deepEqual(fs.readdirSync(config.cacheDir), []);
});

test("a plugin that hangs on DEL costs the others nothing", { skip }, async (t) => {
  const { cni, config, pod, root } = await setUp(t);
  fakePlugin(
    root,
    "hang",
    `[ "$CNI_COMMAND" = DEL ] && sleep 1000; echo "$input" | sed 's/.*"prevResult":\\(.*\\)}$/\\1/'`,
  );
  useChain(cni, { type: "hang" });
  const network = await createPodNetwork({ config, log: silentLogger, timeouts: { cniMs: 4000 } });
  t.after(() => network[Symbol.asyncDispose]());
  const request = await pod("hanging");
  await network.setup(request, call);
  await assert.rejects(network.teardown(request, call), {
    code: "DEADLINE_EXCEEDED",
    message: /^CNI DEL of plugin "hang" /,
  });
  assert.deepEqual([leases(cni), links(cni)], [[], []]);
  fakePlugin(root, "hang", "exit 0");
  await network.teardown(request, call);
  assert.deepEqual(fs.readdirSync(config.cacheDir), []);
});

test("a missing plugin is named with the folders searched, and does not keep others from DEL", {
  skip,
}, async (t) => {
  const { cni, config, network, pod, root } = await setUp(t);
  fakePlugin(root, "passing", `echo "$input" | sed 's/.*"prevResult":\\(.*\\)}$/\\1/'`);
  useChain(cni, { type: "passing" });
  await network.reload();
  const request = await pod("missing");
  const { ip } = await network.setup(request, call);
  assert.match(ip, /^10\./);
  fs.rmSync(path.join(root, "plugins", "passing"));
  const searched = config.binDirs.map((folder) => `"${folder}"`).join(", ");
  await assert.rejects(network.teardown(request, call), {
    code: "NOT_FOUND",
    message: `CNI plugin "passing" of network "${cni.name}" is not in ${searched}`,
  });
  assert.deepEqual([leases(cni), links(cni)], [[], []]);
  fakePlugin(root, "passing", "exit 0");
  await network.teardown(request, call);
  assert.deepEqual(fs.readdirSync(config.cacheDir), []);
});

test("plugins that have nothing to do are left out of ADD, CHECK and DEL, and have to be there", {
  skip,
}, async (t) => {
  const { cni, config, network, pod, root } = await setUp(t);
  const said = path.join(root, "said");
  const passOn = `case $CNI_COMMAND in ADD) echo "$input" | sed 's/.*"prevResult":\\(.*\\)}$/\\1/' ;; esac`;
  for (const type of ["bandwidth", "tuning"]) {
    fakePlugin(root, type, `echo "$CNI_COMMAND ${type}" >>'${said}'\n${passOn}`);
  }
  const limits = { "kubernetes.io/ingress-bandwidth": "10M" };
  const bandwidth = { type: "bandwidth", capabilities: { bandwidth: true } };
  useChain(cni, bandwidth, { type: "tuning" });
  await network.reload();
  const life = async (id: string, change: Partial<PodNetworkRequest> = {}): Promise<string[]> => {
    fs.writeFileSync(said, "");
    const request = await pod(id, change);
    await network.setup(request, call);
    await network.check(request, call);
    await network.teardown(request, call);
    return fs.readFileSync(said, "utf8").trim().split("\n");
  };
  assert.deepEqual(await life("idle"), [""]);
  assert.deepEqual(await life("limited", { annotations: limits }), [
    "ADD bandwidth",
    "CHECK bandwidth",
    "DEL bandwidth",
  ]);
  const settings = { config: { ...config, runIdlePlugins: true }, timeouts: { cniMs: 20_000 } };
  (await network.prepare(settings, call)).commit();
  const all = ["ADD", "CHECK"].flatMap((verb) => [`${verb} bandwidth`, `${verb} tuning`]);
  assert.deepEqual(await life("all"), [...all, "DEL tuning", "DEL bandwidth"]);
  (await network.prepare({ ...settings, config }, call)).commit();
  fs.rmSync(path.join(root, "plugins", "bandwidth"));
  const elsewhere = { ...config, binDirs: [path.join(root, "plugins"), path.join(root, "none")] };
  for (const type of ["bridge", "host-local", "portmap"]) {
    fs.symlinkSync(path.join(cniBinFolder(), type), path.join(root, "plugins", type));
  }
  (await network.prepare({ ...settings, config: elsewhere }, call)).commit();
  const request = await pod("missing");
  await assert.rejects(network.setup(request, call), {
    code: "NOT_FOUND",
    message: /^CNI plugin "bandwidth" of network .* is not in /,
  });
  fakePlugin(root, "bandwidth", passOn);
  await network.teardown(request, call);
  assert.deepEqual([leases(cni), fs.readdirSync(config.cacheDir)], [[], []]);
});

test("several networks make eth0 and eth1", { skip }, async (t) => {
  const { cni, config, pod, root } = await setUp(t);
  const second = await makeCniNetwork(
    path.join(root, "cni2"),
    (Number.parseInt(cni.bridge.slice(2), 16) ^ 0xfffff).toString(16).padStart(6, "0"),
  );
  t.after(() => second[Symbol.asyncDispose]());
  for (const file of fs.readdirSync(second.confDir)) {
    fs.copyFileSync(path.join(second.confDir, file), path.join(cni.confDir, `20-${file}`));
  }
  const network = await createPodNetwork({
    config: { ...config, maxConfNum: 0 },
    log: silentLogger,
    timeouts: { cniMs: 20_000 },
  });
  t.after(() => network[Symbol.asyncDispose]());
  const request = await pod("both");
  const { ip, raw } = await network.setup(request, call);
  assert.deepEqual(Object.keys(raw).toSorted(), [cni.name, second.name].toSorted());
  const addresses = await inside(request.netnsPath, "ip", "-o", "-4", "addr", "show");
  assert.match(addresses, new RegExp(`eth0 +inet ${ip}/`));
  assert.match(addresses, /eth1 +inet 10\./);
  await network.teardown(request, call);
  assert.deepEqual([leases(cni), leases(second), links(cni), links(second)], [[], [], [], []]);
});

test("without a configuration the status says so, until there is one", { skip }, async (t) => {
  const { cni, config, pod, root } = await setUp(t);
  const confDir = path.join(root, "later", "net.d");
  const network = await createPodNetwork({
    config: { ...config, confDir },
    log: silentLogger,
    timeouts: { cniMs: 20_000 },
  });
  t.after(() => network[Symbol.asyncDispose]());
  assert.deepEqual(network.status(), {
    ready: false,
    reason: "NetworkPluginNotReady",
    message: `no usable CNI configuration in "${confDir}"`,
  });
  const request = await pod("early");
  await assert.rejects(network.setup(request, call), { code: "FAILED_PRECONDITION" });
  await network.teardown(request, call);
  fs.cpSync(cni.confDir, confDir, { recursive: true });
  const { ip } = await network.setup(request, call);
  assert.notEqual(ip, "");
  await network.teardown(request, call);
});
