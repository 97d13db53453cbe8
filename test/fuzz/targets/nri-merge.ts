// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { isFault } from "../../../src/base/errors.ts";
import { HoldingMounts } from "../../../src/base/os/mount-table.ts";
import { applyAdjustment } from "../../../src/cri/oci-spec/nri/apply-adjustment.ts";
import { CreationMerge } from "../../../src/nri/merge/creation-merge.ts";
import { fieldNumbers } from "../../../src/nri/merge/fields.ts";
import type { ContainerAdjustment } from "../../../src/nri/messages.ts";
import { encodeOciSpec, parseExactJson } from "../../../src/oci/encode-spec.ts";
import type { OciMount, OciSpec } from "../../../src/oci/spec.ts";
import { codec } from "../../../src/rpc/codec.ts";
import { allFeatures, plainHost } from "../../support/spec-input.ts";
import { ByteSource } from "../byte-source.ts";
import { type AskField, askFields, together } from "../models/nri-asks.ts";
import { randomMessage } from "../random-message.ts";
import { mixedSeeds } from "../support/mixed-seeds.ts";
import { type FuzzTarget, refused } from "../target.ts";

const answerName = "nri.pkg.api.v1alpha1.CreateContainerResponse";
const answers = codec(answerName);
const adjustments = codec("nri.pkg.api.v1alpha1.ContainerAdjustment");
const owning = codec("nri.pkg.api.v1alpha1.OwningPlugins");
const requests = codec("nri.pkg.api.v1alpha1.CreateContainerRequest");

/** Answers of three plugins: each field has one owner, and the value that the last who set it gave. */
export const target: FuzzTarget = {
  name: "nri-merge",
  parses: [
    "src/cri/oci-spec/nri/adjust-linux.ts",
    "src/cri/oci-spec/nri/adjust-mounts.ts",
    "src/cri/oci-spec/nri/adjust-resources.ts",
    "src/cri/oci-spec/nri/adjust-scheduling.ts",
    "src/cri/oci-spec/nri/apply-adjustment.ts",
    "src/nri/merge/answer-budget.ts",
    "src/nri/merge/bad-answer.ts",
    "src/nri/merge/check-adjustment.ts",
    "src/nri/merge/check-linux.ts",
    "src/nri/merge/check-resources.ts",
    "src/nri/merge/check-scheduling.ts",
    "src/nri/merge/creation-merge.ts",
    "src/nri/merge/field-claims.ts",
    "src/nri/merge/keyed-changes.ts",
    "src/nri/merge/merge-adjustment.ts",
    "src/nri/merge/merge-resources.ts",
    "src/nri/merge/merge-single-fields.ts",
    "src/nri/merge/merged-adjustment.ts",
    "src/nri/merge/removal-mark.ts",
    "src/nri/merge/seccomp-problem.ts",
    "src/nri/merge/update-merge.ts",
  ],
  maxBytes: 1024,
  seeds: () => mixedSeeds(40, 200),
  run: async (input) => {
    const source = new ByteSource(input);
    if (source.below(4) === 0) await anyAnswers(source);
    else await goodAnswers(source);
  },
};

function newMerge(): CreationMerge {
  return new CreationMerge(requests.normalize({ container: { id: "it", env: ["PATH=/bin"] } }));
}

/** Whatever three plugins say: it is refused as a whole, or can be told to validators. */
async function anyAnswers(source: ByteSource): Promise<void> {
  const merge = newMerge();
  for (const plugin of ["10-a", "20-b", "30-c"]) {
    const answer = answers.normalize(randomMessage(source, answerName, wordsOf(source)));
    const before = merge.result();
    const { request } = merge;
    try {
      merge.add(plugin, answer);
    } catch (error) {
      refused(error, "FAILED_PRECONDITION");
      assert.ok(error instanceof Error && error.message.includes(plugin), "it names the plugin");
      assert.deepEqual(merge.result(), before, "refused as a whole");
      assert.equal(merge.request, request);
    }
    const { adjust, owners } = merge.result();
    if (adjust !== undefined)
      assert.deepEqual(adjustments.decode(adjustments.encode(adjust)), adjust);
    if (owners !== undefined) assert.deepEqual(owning.decode(owning.encode(owners)), owners);
    requests.encode(merge.request);
    await applied(adjust);
  }
}

/** Most of them what the field may have, so that some answers are taken. */
function wordsOf(source: ByteSource): (field: string) => string | undefined {
  const good: Readonly<Record<string, readonly string[]>> = {
    destination: ["/x", "-/x", "/y"],
    path: ["/dev/x", "/h"],
    key: ["A", "-A", "B"],
    annotations: ["a", "-a", "b"],
    sysctl: ["a.b", "-a.b"],
    netDevices: ["eth0", "-eth0"],
    unified: ["memory.high"],
    pageSize: ["2MB"],
    cpus: ["", "0-2"],
    mems: ["", "0"],
    nodes: ["", "0"],
    name: ["v.com/c=1", "v.com/c=2", "n0"],
    defaultAction: ["SCMP_ACT_ERRNO"],
    action: ["SCMP_ACT_ALLOW"],
    op: ["SCMP_CMP_EQ"],
    containerId: ["it", "x", "y", "z"],
    access: ["rw"],
  };
  return (field) => {
    const choices = good[field];
    return choices === undefined || source.below(16) === 0 ? undefined : source.pick(choices);
  };
}

const mountTable = new HoldingMounts([]);
const emptySpec: OciSpec = {
  ociVersion: "1.3.0",
  process: { user: { uid: 0, gid: 0 }, args: ["sh"], env: ["PATH=/bin"], cwd: "/" },
  root: { path: "rootfs" },
  mounts: [{ destination: "/z", source: "/given" }],
  annotations: { b: "given" },
  linux: { namespaces: [{ type: "pid" }], resources: {} },
};

/** The spec with an adjustment; undefined for what the host or the runtime cannot do. What is given stays as it is. */
async function applied(adjust: ContainerAdjustment | undefined): Promise<OciSpec | undefined> {
  if (adjust === undefined) return undefined;
  const before = structuredClone(emptySpec);
  try {
    const spec = await applyAdjustment(before, adjust, {
      host: plainHost,
      features: allFeatures,
      blockio: async (name) => ({ weight: name.length }),
      readMounts: async () => mountTable,
      cdiFolders: [],
    });
    const { destinations, paths } = keysOf(spec);
    assert.equal(new Set(destinations).size, destinations.length, "a mount is there once");
    assert.equal(new Set(paths).size, paths.length, "a device is there once");
    assert.deepEqual(parseExactJson(Buffer.from(encodeOciSpec(spec)).toString()), spec);
    return spec;
  } catch (error) {
    refused(error, "INVALID_ARGUMENT", "FAILED_PRECONDITION");
    return undefined;
  } finally {
    assert.deepEqual(before, emptySpec);
  }
}

function keysOf({ mounts, linux }: OciSpec): { destinations: string[]; paths: string[] } {
  return {
    destinations: mounts.map(({ destination }) => destination),
    paths: (linux.devices ?? []).map(({ path }) => path),
  };
}

/** What is set is in the spec, and what is removed is not. */
function checkSpec(
  spec: OciSpec | undefined,
  history: ReadonlyMap<string, readonly Event[]>,
): void {
  if (spec === undefined) return;
  const wanted = (field: string, key: string): number | null | undefined =>
    history.get(`${field} ${key}`)?.at(-1)?.value;
  for (const [key, found] of [
    ["a", undefined],
    ["b", "given"],
    ["__proto__", undefined],
  ] as const) {
    const value = wanted("Annotations", key);
    const own: string | undefined = Object.hasOwn(spec.annotations, key)
      ? spec.annotations[key]
      : undefined;
    assert.equal(own, value === undefined ? found : value === null ? undefined : String(value));
  }
  for (const [key, found] of [
    ["/x", undefined],
    ["/z", "/given"],
  ] as const) {
    const value = wanted("Mounts", key);
    const mount: OciMount | undefined = spec.mounts.find(({ destination }) => destination === key);
    assert.equal(
      mount?.source,
      value === undefined ? found : value === null ? undefined : `/${value}`,
    );
  }
  const path = wanted("Env", "PATH");
  const entry = spec.process.env.find((one) => one.startsWith("PATH="));
  assert.equal(
    entry,
    path === undefined ? "PATH=/bin" : path === null ? undefined : `PATH=${path}`,
  );
  const shares = wanted("CPUShares", "");
  assert.equal(spec.linux.resources.cpu?.shares, shares ?? undefined);
}

interface Event {
  readonly plugin: string;
  /** Null for a removal. */
  readonly value: number | null;
}

/** Answers of good parts, against a slow merge that remembers everything. */
async function goodAnswers(source: ByteSource): Promise<void> {
  const merge = newMerge();
  const history = new Map<string, Event[]>();
  for (const plugin of ["10-a", "20-b", "30-c"]) {
    const asks = source.list(8, () => drawAsk(source));
    const next = new Map([...history].map(([place, events]) => [place, [...events]]));
    const isWanted = tryAll(next, plugin, asks);
    const adjust = together(
      asks.map(({ field, key, value }) =>
        value === null ? (field.removal?.(key) ?? {}) : field.set(key, value),
      ),
    );
    let isTaken = true;
    try {
      merge.add(plugin, answers.normalize({ adjust }));
    } catch (error) {
      if (!isFault(error, "FAILED_PRECONDITION")) throw error;
      isTaken = false;
    }
    assert.equal(isTaken, isWanted, JSON.stringify([plugin, adjust]));
    if (isWanted) for (const [place, events] of next) history.set(place, events);
    checkMerged(merge, history);
    checkSpec(await applied(merge.result().adjust), history);
  }
}

interface Ask {
  readonly field: AskField;
  readonly key: string;
  readonly value: number | null;
}

function drawAsk(source: ByteSource): Ask {
  const field = source.pick(askFields);
  const key = field.keys === undefined ? "" : source.pick(field.keys);
  const removes = field.removal !== undefined && source.below(3) === 0;
  return { field, key, value: removes ? null : source.below(200) };
}

const placeOf = ({ field, key }: Pick<Ask, "field" | "key">): string => `${field.name} ${key}`;

/** False for a conflict. A record's or a message's key that is asked for twice is one: the later value. */
function tryAll(history: Map<string, Event[]>, plugin: string, asks: readonly Ask[]): boolean {
  const sets: Ask[] = [];
  for (const ask of asks) {
    const place = placeOf(ask);
    if (ask.value === null)
      history.set(place, [...(history.get(place) ?? []), { plugin, value: null }]);
    else {
      const same = sets.findIndex((other) => placeOf(other) === place);
      if (same >= 0 && isOne(ask.field)) sets.splice(same, 1);
      sets.push(ask);
    }
  }
  for (const ask of sets) {
    const events = history.get(placeOf(ask)) ?? [];
    const holder = holderOf(events);
    const isFreed = events.at(-1)?.value === null && holder === plugin;
    if (holder !== undefined && !isFreed) return false;
    history.set(placeOf(ask), [...events, { plugin, value: ask.value }]);
  }
  return true;
}

function isOne({ name, keys }: AskField): boolean {
  return (
    keys === undefined ||
    ["Annotations", "Sysctl", "LinuxNetDevices", "CgroupsUnified"].includes(name)
  );
}

/** Who has it: the last who has set it, or who has removed what somebody had. */
function holderOf(events: readonly Event[]): string | undefined {
  let holder: string | undefined;
  for (const { plugin, value } of events)
    if (value !== null || holder !== undefined) holder = plugin;
  return holder;
}

function checkMerged(merge: CreationMerge, history: ReadonlyMap<string, readonly Event[]>): void {
  const { adjust, owners } = merge.result();
  const own = owners?.owners["it"];
  const told = new Set<string>();
  for (const field of askFields) {
    const merged = adjust === undefined ? [] : field.read(adjust);
    for (const [key, value] of merged) {
      const place = placeOf({ field, key });
      assert.ok(!told.has(place), `${place} is there once`);
      told.add(place);
      const last = history.get(place)?.at(-1);
      assert.equal(value, last?.value, `${place} is what the last has set`);
      const number = String(fieldNumbers[field.name]);
      const owner =
        field.keys === undefined ? own?.simple[number] : ownerOf(own?.compound[number], key);
      assert.equal(owner, `${last?.value === null ? "-" : ""}${last?.plugin}`, place);
    }
  }
  assert.deepEqual(told, new Set(history.keys()), "nothing is left out");
}

function ownerOf(
  compound: { readonly owners: Readonly<Record<string, string>> } | undefined,
  key: string,
): string | undefined {
  return compound !== undefined && Object.hasOwn(compound.owners, key)
    ? compound.owners[key]
    : undefined;
}
