// SPDX-License-Identifier: Apache-2.0
// What people see of pulls and pushes, against a real daemon.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ServerResponse } from "node:http";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { type RunResult, run } from "../support/run.ts";
import {
  digestIn,
  type Handler,
  type ScriptedImage,
  scriptedImage,
  serveImage,
} from "../support/scripted-registry.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";
import { serveUploads } from "../support/upload-registry.ts";

const program = path.resolve(import.meta.dirname, "../../bin/berth");

interface Line {
  readonly digest: string;
  readonly state: string;
  readonly doneBytes: number;
}

interface Told {
  readonly topic: string;
  readonly event: { readonly image: string; readonly state: string; readonly doneBytes: string };
}

/** Holds a layer back after its first half, until it is let go. */
function halting(image: ScriptedImage): {
  readonly first: Handler;
  readonly letGo: () => void;
  held: number;
} {
  const layer = image.blobs.get(image.layer)!;
  const waiting: ServerResponse[] = [];
  const state = {
    held: 0,
    first: ((request, response) => {
      if (request.method !== "GET" || digestIn(request) !== image.layer) return false;
      state.held += 1;
      response.on("close", () => (state.held -= 1));
      response.writeHead(200, { "content-length": layer.length });
      response.write(layer.subarray(0, layer.length / 2));
      waiting.push(response);
      return true;
    }) as Handler,
    letGo: () => {
      for (const response of waiting) response.end(layer.subarray(layer.length / 2));
    },
  };
  return state;
}

suite("pulls and pushes that are watched", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let count = 0;
  before(async () => {
    bed = await openTestbed();
  });
  after(() => bed?.finish());

  const env = (): { readonly env: Record<string, string> } => ({
    env: { BERTH_ADDRESS: bed.daemon.socket },
  });
  const berth = (...args: readonly string[]): Promise<RunResult> => run(program, args, env());
  const ok = async (...args: readonly string[]): Promise<RunResult> => {
    const result = await berth(...args);
    assert.equal(result.code, 0, `berth ${args.join(" ")}: ${result.stderr}`);
    return result;
  };
  const newImage = (): Promise<ScriptedImage> => {
    count += 1;
    return scriptedImage(path.join(bed.folder, `layout ${count}`), `image ${count}`, 512);
  };
  const metrics = async (): Promise<string> =>
    (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
  const linesOf = (text: string): Line[] =>
    text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);

  test("a pull and a push tell each part's states as lines of JSON, and take no longer than they must", async () => {
    const image = await newImage();
    await using from = await serveImage(image);
    await using to = await serveUploads();
    const pulled = await ok("image", "pull", `${from.host}/a/b:c`);
    assert.equal(pulled.stdout, `pulled ${from.host}/a/b:c: ${image.id}\n`);
    assert.deepEqual(linesOf(pulled.stderr).at(-1)?.state, "done");
    const again = await ok("image", "pull", `${from.host}/a/b:c`);
    assert.deepEqual(
      linesOf(again.stderr)
        .map(({ state }) => state)
        .at(-1),
      "exists",
    );
    const pushed = await ok("image", "push", `${from.host}/a/b:c`, `${to.host}/x/y:1`);
    assert.equal(pushed.stdout, `pushed ${to.host}/x/y:1: ${image.manifest.digest}\n`);
    const ends = new Map(linesOf(pushed.stderr).map(({ digest, state }) => [digest, state]));
    assert.deepEqual(
      [ends.get(image.layer), ends.get(image.id), ends.get(image.manifest.digest)],
      ["done", "done", "done"],
    );
    assert.ok(to.blobs.get(image.layer)?.equals(image.blobs.get(image.layer)!));
  });

  test("a kubelet's pull is among the operations, the events and the metrics", async () => {
    const image = await newImage();
    const halt = halting(image);
    await using from = await serveImage(image, halt.first);
    const name = `${from.host}/a/b:c`;
    const events = spawn(program, ["events", "--json", "--filter", "topic~=^/images/pull/"], {
      env: { ...process.env, ...env().env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    events.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const told = (): Told[] =>
      said
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Told)
        .filter(({ event }) => event.image === name);
    try {
      const images = bed.daemon.client("runtime.v1.ImageService");
      // Until the subscription stands.
      await until("events are told", async () => {
        await images.PullImage({ image: { image: "127.0.0.1:1/no/such:1" } }).catch(() => {});
        return said !== "";
      });
      const pull = images.PullImage({ image: { image: name } });
      await until("progress is told", () =>
        told().some(({ topic }) => topic === "/images/pull/progress"),
      );
      const { stdout } = await ok("operations", name);
      assert.match(stdout, /^PullImage .* downloading \(\d+s\), [\d.]+KiB of [\d.]+KiB$/m);
      const text = await metrics();
      assert.match(text, /^berth_image_transfers_in_flight\{kind="pull"\} 1$/m);
      halt.letGo();
      await pull;
      await until("the end is told", () =>
        told().some(({ topic }) => topic === "/images/pull/end"),
      );
      assert.deepEqual(
        [told()[0]?.topic, told().at(-1)?.topic, told().at(-1)?.event.state],
        ["/images/pull/start", "/images/pull/end", "done"],
      );
      const after = await metrics();
      assert.match(after, /^berth_image_transfers_in_flight\{kind="pull"\} 0$/m);
      const bytes = /^berth_image_transfer_bytes_total\{kind="pull"\} (\d+)$/m.exec(after);
      assert.ok(Number(bytes?.[1]) >= image.blobs.get(image.layer)!.length);
    } finally {
      events.kill();
    }
  });

  test("ctr, which does not know these events, goes on past them", async () => {
    const image = await newImage();
    await using from = await serveImage(image);
    const child = spawn("ctr", ["-a", bed.daemon.socket, "-n", "k8s.io", "events"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    try {
      const images = bed.daemon.client("runtime.v1.ImageService");
      const spec = { image: { image: `${from.host}/a/b:ctr` } };
      await until("ctr tells of the image", async () => {
        await images.PullImage(spec);
        await images.RemoveImage(spec);
        return said.includes("/images/delete");
      });
      await images.PullImage(spec);
      const count = said.split("/images/create").length;
      await images.RemoveImage(spec);
      await images.PullImage(spec);
      await until("it goes on", () => said.split("/images/create").length > count);
      assert.equal(child.exitCode, null);
    } finally {
      child.kill();
    }
  });

  test("Ctrl-C ends a pull, unless others wait for it", async () => {
    const image = await newImage();
    const halt = halting(image);
    await using from = await serveImage(image, halt.first);
    const name = `${from.host}/a/b:c`;
    const begin = () =>
      spawn(program, ["image", "pull", name], {
        env: { ...process.env, ...env().env },
        stdio: ["ignore", "ignore", "pipe"],
      });
    const over = (child: ReturnType<typeof begin>) =>
      new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    const first = begin();
    await until("the layer comes", () => halt.held === 1);
    first.kill("SIGINT");
    await until("the pull has ended", () => halt.held === 0);
    const second = begin();
    await until("the layer comes again", () => halt.held === 1);
    const third = begin();
    const joined = over(third);
    let told = "";
    third.stderr?.on("data", (chunk: Buffer) => (told += chunk.toString()));
    await until("the third has joined, and is told of the layer", () => told.includes(image.layer));
    second.kill("SIGINT");
    await until("the second has ended", () => second.signalCode !== null);
    halt.letGo();
    assert.equal(await joined, 0);
    assert.equal(
      from.heard.filter((one) => one.includes(image.layer) && one.startsWith("GET")).length,
      2,
    );
  });
});
