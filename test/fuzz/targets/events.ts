// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { eventField } from "../../../src/events/event-fields.ts";
import { Exchange } from "../../../src/events/exchange.ts";
import type { EventEnvelope } from "../../../src/events/ports.ts";
import type { ProtoAny } from "../../../src/gen/wellknown.gen.ts";
import { codec, packAny } from "../../../src/rpc/codec.ts";
import { createEventsService } from "../../../src/services/events-service.ts";
import { ByteSource } from "../byte-source.ts";
import { type FuzzTarget, refused } from "../target.ts";

const envelope = codec("containerd.types.Envelope");
const forward = codec("containerd.services.events.v1.ForwardRequest");
const call = { signal: new AbortController().signal, namespace: undefined, headers: {} };
const topics = [
  "/tasks/exit",
  "/tasks/create",
  "/containers/create",
  "tasks/exit",
  "/",
  "",
  "/a//b",
  "/tasks/exit/",
  `/${"x".repeat(77)}`,
  "/a/ü",
];
const namespaces = ["k8s.io", "default", "", "a b", "x".repeat(77), "-", "a..b"];

/** Events as clients forward and publish them: well-formed ones reach whom they should, others nobody. */
export const target: FuzzTarget = {
  name: "events",
  parses: [
    "src/events/exchange.ts",
    "src/events/event-fields.ts",
    "src/services/events-service.ts",
    "src/rpc/codec.ts",
  ],
  dictionary: [
    "containerd.events.TaskExit",
    "types.containerd.io/",
    "/tasks/exit",
    "k8s.io",
    "__proto__",
    "google.protobuf.Any",
  ],
  seeds: () => [
    Buffer.concat([
      Buffer.from([0]),
      forward.encode({
        envelope: {
          timestamp: { seconds: 5n, nanos: 1 },
          namespace: "k8s.io",
          topic: "/tasks/exit",
          event: packAny("containerd.events.TaskExit", { containerId: "c", exitStatus: 3 }),
        },
      }),
    ]),
    Buffer.from(Array.from({ length: 64 }, (_, at) => (at * 29) | 1)),
  ],
  run: async (input) => {
    const source = new ByteSource(input);
    if (source.bool()) await checkDrawn(source);
    else await checkBytes(source.rest());
  },
};

/** The bytes of a Forward request. */
async function checkBytes(bytes: Buffer): Promise<void> {
  const exchange = new Exchange();
  using subscription = exchange.subscribe([
    "event.container_id!=x",
    "topic~=/./",
    "event.labels.a.b==c",
  ]);
  let request: ReturnType<typeof forward.decode>;
  try {
    request = forward.decode(bytes);
  } catch (error) {
    assert.ok(error instanceof Error);
    return; // protobufjs' own: the server answers it as INTERNAL
  }
  assert.deepEqual(forward.decode(forward.encode(request)), request);
  assert.deepEqual(forward.normalize(request), request);
  const service = createEventsService(exchange);
  const heard = await outcome(async () => service.Forward?.(request, call));
  subscription[Symbol.dispose]();
  const seen = await all(subscription.read());
  assert.equal(seen.length, heard === "taken" ? 1 : 0);
  if (heard === "taken") assert.equal(seen[0]?.event, request.envelope?.event);
}

async function checkDrawn(source: ByteSource): Promise<void> {
  const topic = source.pick(topics);
  const namespace = source.pick(namespaces);
  const exitStatus = source.below(256);
  const containerId = source.pick(["c", "", "c.d", "__proto__"]);
  const labels = Object.fromEntries(
    source.list(3, () => [source.pick(["a", "a.b", "toString", "x_y"]), source.text(4)]),
  );
  const [event, fields] = drawMessage(source, { exitStatus, containerId, labels });
  const seconds = BigInt(source.below(3));
  const sent = envelope.normalize({ timestamp: { seconds, nanos: 7 }, namespace, topic, event });
  const exchange = new Exchange();
  const [path, value] = source.pick(Object.entries(fields));
  const filters = [
    `event.${path}==${JSON.stringify(value)}`,
    `event.${path}!=${JSON.stringify(value)}`,
    `topic==${JSON.stringify(topic || "none")}`,
    "namespace==k8s.io",
  ];
  const subscriptions = filters.map((filter) => exchange.subscribe([filter]));
  const service = createEventsService(exchange);
  const heard = await outcome(async () => service.Forward?.({ envelope: sent }, call));
  const good = (part: string): boolean =>
    /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/.test(part) && part.length <= 76;
  const [, ...parts] = topic.split("/");
  const isGood = good(namespace) && topic.startsWith("/") && parts.every(good);
  assert.equal(heard, isGood ? "taken" : "refused", `${namespace} ${topic}`);
  for (const subscription of subscriptions) subscription[Symbol.dispose]();
  const counts = await Promise.all(
    subscriptions.map(async (subscription) => (await all(subscription.read())).length),
  );
  if (!isGood) return assert.deepEqual(counts, [0, 0, 0, 0]);
  const isThere = value !== "";
  assert.deepEqual(
    counts,
    [isThere ? 1 : 0, 0, 1, namespace === "k8s.io" ? 1 : 0],
    JSON.stringify([path, value]),
  );
  const shown: EventEnvelope = { timestampNanos: 1n, namespace, topic, event };
  for (const [at, wanted] of Object.entries(fields))
    assert.equal(
      eventField(shown, ["event", ...at.split(".")]),
      wanted === "" ? undefined : wanted,
      at,
    );
  for (const none of [
    ["event"],
    ["topic", "x"],
    ["event", "constructor"],
    ["event", "__proto__", "x"],
    ["nothing"],
  ])
    assert.equal(eventField(shown, none), undefined);
}

type Drawn = {
  readonly exitStatus: number;
  readonly containerId: string;
  readonly labels: Record<string, string>;
};

/** A message, and what a filter may ask of it. */
function drawMessage(
  source: ByteSource,
  { exitStatus, containerId, labels }: Drawn,
): [ProtoAny, Record<string, string>] {
  const host = source.pick(["", "types.containerd.io/", "a/b/"]);
  const named = ({ type_url, value }: ProtoAny): ProtoAny => ({ type_url: host + type_url, value });
  if (source.bool())
    return [
      named(packAny("containerd.events.TaskExit", { containerId, exitStatus, id: "e" })),
      { container_id: containerId, exit_status: String(exitStatus), id: "e" },
    ];
  const fields = Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [`labels.${key}`, value]),
  );
  return [
    named(packAny("containerd.events.ContainerUpdate", { id: containerId, image: "i", labels })),
    { id: containerId, image: "i", ...fields },
  ];
}

async function outcome(work: () => Promise<unknown>): Promise<"taken" | "refused"> {
  try {
    await work();
    return "taken";
  } catch (error) {
    refused(error, "INVALID_ARGUMENT", "FAILED_PRECONDITION");
    return "refused";
  }
}

async function all(events: AsyncIterable<EventEnvelope>): Promise<EventEnvelope[]> {
  const seen: EventEnvelope[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}
