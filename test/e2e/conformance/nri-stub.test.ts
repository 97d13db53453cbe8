// SPDX-License-Identifier: Apache-2.0
// The runtime's side of NRI against plugins on the stub of NRI's Go module, over a node that is made up.
import assert from "node:assert/strict";
import path from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import type { ContainerUpdate } from "../../../src/nri/messages.ts";
import { createNri } from "../../../src/nri/nri.ts";
import type { NriSettings } from "../../../src/nri/settings.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { type Acts, GoPlugin, type GoPluginOptions } from "../../support/nri/go-plugin.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";

const tool = await toolOrReason("nriplugin");
const call = { signal: new AbortController().signal };

/** What a plugin gets in a message of about so many bytes. */
const filler = (length: number): string => "x".repeat(length);

suite("plugins on Go's stub", { skip: tool.skip }, () => {
  let home: Scratch;
  let owned: AsyncDisposableStack;
  beforeEach(async () => {
    owned = new AsyncDisposableStack();
    home = owned.use(await scratch({ prefix: "nri" }));
  });
  afterEach(() => owned?.disposeAsync());

  const socket = (): string => path.join(home.path, "nri.sock");
  const settings = (change: Partial<NriSettings> = {}): NriSettings => ({
    socketPath: socket(),
    pluginPath: path.join(home.path, "plugins"),
    pluginConfigPath: path.join(home.path, "conf.d"),
    runFolder: path.join(home.path, "run"),
    registrationTimeoutMs: 60_000,
    requestTimeoutMs: 60_000,
    disableConnections: false,
    onFailure: undefined,
    required: [],
    tolerateMissingPluginsAnnotation: "",
    plugins: {},
    defaultValidator: undefined,
    ...change,
  });

  /** Containers `c0` to `cN` in pod `p`, each of about `bytes`; what updates are asked for is kept. */
  const open = async (
    change: Partial<NriSettings> = {},
    containers = 0,
    bytes = 0,
  ): Promise<{
    readonly nri: ReturnType<typeof createNri>;
    readonly updated: ContainerUpdate[];
  }> => {
    const updated: ContainerUpdate[] = [];
    const nri = owned.use(
      createNri({
        settings: settings(change),
        runtime: { name: "berthd", version: "0.1.0" },
        log: silentLogger,
        node: {
          pods: () => [() => ({ id: "p", name: "pod", namespace: "default" })],
          containers: () =>
            Array.from({ length: containers }, (_, index) => () => ({
              id: `c${index}`,
              podSandboxId: "p",
              annotations: { filler: filler(bytes) },
            })),
          hasContainer: () => true,
          update: (updates) => {
            updated.push(...updates);
            return Promise.resolve([]);
          },
          evict: () => Promise.resolve(),
        },
      }),
    );
    await nri.start(call);
    return { nri, updated };
  };
  const plugin = async (options: Partial<GoPluginOptions> = {}): Promise<GoPlugin> => {
    const program = tool.skip === false ? tool.path : "";
    return owned.use(await GoPlugin.start({ program, socket: socket(), ...options }));
  };
  const request = (id: string, annotations: Readonly<Record<string, string>> = {}): object => ({
    pod: { id: "p", name: "pod", namespace: "default" },
    container: { id, podSandboxId: "p", name: id, annotations },
  });

  test("are told what they need: the runtime, NRI's version, the time-outs", async () => {
    await open({ requestTimeoutMs: 1500, registrationTimeoutMs: 3000 });
    const [configured] = (await plugin()).calls;
    assert.deepEqual(configured, {
      call: "Configure",
      config: "",
      runtime: "berthd",
      version: "0.1.0",
      nri: "v0.12.5",
      requestTimeout: 1500,
      registrationTimeout: 3000,
    });
  });

  test("understand messages of every length", async () => {
    const { nri } = await open();
    const go = await plugin();
    const around = Array.from({ length: 200 }, (_, index) => 3950 + index);
    for (const length of [0, ...around, 8192, 65_536, 1_000_000, 4_190_000]) {
      const id = `of-${length}`;
      using _made = await nri.createContainer(() => request(id, { filler: filler(length) }), call);
      const got = await go.got(({ container }) => container?.id === id);
      const { annotations } = got.container as unknown as { annotations: { filler?: string } };
      assert.equal(annotations.filler?.length ?? 0, length);
    }
  });

  test("are answered, too, when they say much", async () => {
    const { nri } = await open();
    const adjust = { env: [{ key: "LONG", value: filler(100_000) }] };
    await plugin({ on: { CreateContainer: { adjust } } });
    using made = await nri.createContainer(() => request("c"), call);
    assert.equal(made.adjust?.env[0]?.value.length, 100_000);
  });

  for (const [containers, bytes] of [
    [10_000, 100],
    [3000, 5000],
    [7, 4_000_000],
  ] as const) {
    test(`are synchronized with ${containers} containers of ${bytes} bytes`, async () => {
      const { nri } = await open({}, containers, bytes);
      const go = await plugin();
      const told = go.calls.filter((each) => each.call === "Synchronize");
      assert.equal(told.length, 1, "the stub gathers the parts");
      const expected = Array.from({ length: containers }, (_, index) => `c${index}`);
      assert.deepEqual((told[0]!["containers"] as string[]).toSorted(), expected.toSorted());
      using _made = await nri.createContainer(() => request("later"), call);
      await go.got(({ container }) => container?.id === "later");
    });
  }

  test("fifty of them are asked by their index, and each sees what those before it did", async () => {
    const { nri } = await open();
    const indices = Array.from({ length: 50 }, (_, index) => String(index).padStart(2, "0"));
    const all = await Promise.all(
      indices.map((index) => {
        const adjust = { annotations: { [`by-${index}`]: "yes" } };
        return plugin({ index, on: { CreateContainer: { adjust } } });
      }),
    );
    using made = await nri.createContainer(() => request("c"), call);
    assert.deepEqual(
      Object.keys(made.adjust?.annotations ?? {}).toSorted(),
      indices.map((index) => `by-${index}`),
    );
    const last = await all[49]!.got(({ container }) => container?.id === "c");
    const seen = (last.container as unknown as { annotations: object }).annotations;
    assert.equal(Object.keys(seen).length, 49);
  });

  const failing: Readonly<Record<string, Acts>> = {
    hangs: { CreateContainer: { hang: true } },
    "dies in the middle": { CreateContainer: { die: true } },
    "answers late": { CreateContainer: { delayMs: 12_000 } },
  };
  /** The good one has so long, too. */
  const impatient = { requestTimeoutMs: 4000 };
  for (const [what, on] of Object.entries(failing)) {
    test(`one that ${what} is passed over, and the others are asked`, async () => {
      const { nri } = await open(impatient);
      const good = { annotations: { good: "yes" } };
      await plugin({ index: "10", name: "bad", on });
      await plugin({ index: "90", name: "good", on: { CreateContainer: { adjust: good } } });
      using made = await nri.createContainer(() => request("c"), call);
      assert.deepEqual(made.adjust?.annotations, { good: "yes" });
    });

    test(`one that ${what} refuses by its name where it must answer`, async () => {
      const { nri } = await open({ ...impatient, plugins: { bad: { onFailure: "refuse" } } });
      await plugin({ index: "10", name: "bad", on });
      await assert.rejects(
        nri.createContainer(() => request("c"), call),
        { code: "UNAVAILABLE", message: /^NRI plugin "10-bad"/ },
      );
    });

    test(`one that ${what} refuses when it asked for that itself`, async () => {
      const { nri } = await open(impatient);
      await plugin({ index: "10", name: "bad", on, failRequest: true });
      await assert.rejects(
        nri.createContainer(() => request("c"), call),
        { code: "UNAVAILABLE", message: /^NRI plugin "10-bad"/ },
      );
    });
  }

  test("an error of one is the operation's, with its name", async () => {
    const { nri } = await open();
    await plugin({ index: "10", name: "bad", on: { CreateContainer: { error: "not today" } } });
    const good = await plugin({ index: "90", name: "good" });
    await assert.rejects(
      nri.createContainer(() => request("c"), call),
      { message: /^NRI plugin "10-bad": .*not today/ },
    );
    assert.deepEqual(good.seen("p"), []);
  });

  test("a late one is synchronized anew when it has answered, and serves", async () => {
    const { nri } = await open({ requestTimeoutMs: 4000 });
    const on = { CreateContainer: { delayMs: 8000, times: 1 } };
    const go = await plugin({ on });
    (await nri.createContainer(() => request("missed"), call))[Symbol.dispose]();
    await go.got((each) => each.call === "Synchronize" && each !== go.calls[1]);
    using _made = await nri.createContainer(() => request("served"), call);
    await go.got(({ container }) => container?.id === "served");
  });

  test("a flood of updates is answered, and holds nobody else up", async () => {
    const { nri, updated } = await open({}, 1);
    const flooder = await plugin({ index: "10", name: "flooder" });
    const good = await plugin({ index: "90", name: "good" });
    const update = [
      { containerId: "c0", linux: { resources: { cpu: { shares: { value: "512" } } } } },
    ];
    const flood = flooder.update(update, { times: 25, lanes: 8 });
    for (let index = 0; index < 20; index += 1) {
      using _made = await nri.createContainer(() => request(`beside-${index}`), call);
    }
    assert.equal(good.seen("p").filter((name) => name === "CreateContainer").length, 20);
    const { done = 0, failed = 0, error = "" } = await flood;
    assert.equal(done + failed, 200);
    assert.equal(updated.length, done);
    // Those that were more at once than a plugin may ask.
    if (failed > 0) assert.match(error, /ResourceExhausted/);
    assert.ok(done > 0);
  });
});
