// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import { digestOf } from "../../content/digest.ts";
import { PodFacts } from "../../events/pod-facts.ts";
import type { ImageSpec } from "../../gen/cri.gen.ts";
import type { Image, Images, RegistryAuth } from "../../images/ports.ts";
import type { SecurityProfiles } from "../../images/profiles/ports.ts";
import { registryFault } from "../../images/registry/registry-fault.ts";
import type { CallContext } from "../../rpc/service.ts";
import { createImageService } from "./image-service.ts";

const ctx: CallContext = {
  signal: new AbortController().signal,
  namespace: undefined,
  headers: {},
};

function image(name: string, user = ""): Image {
  return {
    id: digestOf(name),
    repoTags: [`docker.io/library/${name}:latest`],
    repoDigests: [],
    sizeBytes: 42n,
    pinned: name === "pause",
    chainId: digestOf(`chain of ${name}`),
    config: {
      user,
      env: [],
      entrypoint: [],
      cmd: [],
      workingDir: "",
      volumes: [],
      stopSignal: "",
      labels: {},
    },
    platform: { os: "linux", architecture: "amd64", variant: "" },
    layers: 1,
  };
}

const known = [image("app", "1000:5"), image("named", "nobody:nogroup"), image("pause")];

function makeService() {
  const calls: unknown[] = [];
  const find = (name: string): Image | undefined =>
    known.find(({ id, repoTags }) => id === name || repoTags.some((tag) => tag.includes(name)));
  const images: Images = {
    find,
    list: () => known,
    pull: async (reference: string, { auth }: { readonly auth?: RegistryAuth }) => {
      calls.push(["pull", reference, auth]);
      const found = find(reference);
      if (reference === "busy") throw registryFault("host is busy");
      if (reference === "no disk") throw fault("UNAVAILABLE", "the disk failed");
      if (!found) throw fault("NOT_FOUND", "not found");
      return found;
    },
    unpack: async () => {},
    load: async () => [],
    remove: async (reference) => void calls.push(["remove", reference]),
    released: () => {},
    usage: async () => [
      { folder: "/snapshots", bytes: 7n, inodes: 3n },
      { folder: "/blobs", bytes: 9n, inodes: 1n },
    ],
  };
  const profiles: SecurityProfiles = {
    list: () => [
      { digest: digestOf("p"), blob: digestOf("b"), sizeBytes: 7, refs: ["host/profile@x"] },
    ],
    pull: async (reference, { auth }) => {
      calls.push(["pull profile", reference, auth]);
      if (reference === "busy") throw registryFault("host is busy");
      return { cached: reference === "here" };
    },
    read: async () => Buffer.alloc(0),
    remove: async (digest) => void calls.push(["remove profile", digest]),
  };
  return {
    calls,
    service: createImageService({
      images,
      profiles,
      facts: new PodFacts(),
      transferOf: () => undefined,
      inspect: async () => '{"os":"linux"}',
    }),
  };
}

const spec = (name: string): ImageSpec => ({
  image: name,
  annotations: {},
  userSpecifiedImage: "",
  runtimeHandler: "",
  imageRef: "",
});

test("ListImages shows all, or what its filter names", async () => {
  const { service } = makeService();
  const all = await service.ListImages({ filter: null }, ctx);
  assert.deepEqual(
    all?.images?.map((one) => [one.uid?.value, one.username, one.pinned]),
    [
      [1000n, "", false],
      [undefined, "nobody", false],
      [0n, "", true],
    ],
  );
  const one = await service.ListImages({ filter: { image: spec("app") } }, ctx);
  assert.deepEqual(
    one?.images?.map(({ id }) => id),
    [digestOf("app")],
  );
  const none = await service.ListImages({ filter: { image: spec("other") } }, ctx);
  assert.deepEqual(none?.images, []);
});

test("ImageStatus of an unknown image is empty", async () => {
  const { service } = makeService();
  const answer = await service.ImageStatus({ image: spec("other"), verbose: false }, ctx);
  assert.deepEqual(answer, { image: null });
  await assert.rejects(async () => service.ImageStatus({ image: null, verbose: false }, ctx), {
    code: "INVALID_ARGUMENT",
  });
});

test("ImageStatus tells chain id and document when verbose", async () => {
  const { service } = makeService();
  const answer = await service.ImageStatus({ image: spec("app"), verbose: true }, ctx);
  assert.equal(answer?.image?.id, digestOf("app"));
  assert.deepEqual(JSON.parse(answer?.info?.["info"] ?? ""), {
    chainID: digestOf("chain of app"),
    imageSpec: { os: "linux" },
  });
});

test("PullImage answers the id, and hands on the credentials that were given", async () => {
  const { service, calls } = makeService();
  const auth = {
    username: "me",
    password: "pw",
    auth: "",
    serverAddress: "",
    identityToken: "",
    registryToken: "",
  };
  const pull = (image: ImageSpec, given: typeof auth | null) =>
    service.PullImage({ image, auth: given, sandboxConfig: null }, ctx);
  assert.deepEqual(await pull(spec("app"), auth), { imageRef: digestOf("app") });
  await pull(spec("app"), { ...auth, username: "", password: "" });
  await pull(spec("app"), null);
  assert.deepEqual(calls, [
    ["pull", "app", { username: "me", password: "pw" }],
    ["pull", "app", undefined],
    ["pull", "app", undefined],
  ]);
});

test("PullImage tells a registry that cannot be had from a disk that fails", async () => {
  const { service } = makeService();
  const pull = async (name: string) =>
    service.PullImage({ image: spec(name), auth: null, sandboxConfig: null }, ctx);
  await assert.rejects(pull("busy"), {
    code: "UNKNOWN",
    message: "RegistryUnavailable: host is busy",
  });
  await assert.rejects(pull("no disk"), { code: "UNAVAILABLE", message: "the disk failed" });
});

test("RemoveImage and ImageFsInfo pass through", async () => {
  const { service, calls } = makeService();
  assert.deepEqual(await service.RemoveImage({ image: spec("app") }, ctx), {});
  assert.deepEqual(calls, [["remove", "app"]]);
  const info = await service.ImageFsInfo({}, ctx);
  const [usage, ...others] = info?.imageFilesystems ?? [];
  assert.deepEqual(info?.containerFilesystems, [usage], "a kubelet takes them for one");
  assert.deepEqual(usage?.fsId, { mountpoint: "/snapshots" });
  assert.deepEqual(
    others.map(({ fsId, usedBytes }) => [fsId, usedBytes]),
    [[{ mountpoint: "/blobs" }, { value: 9n }]],
  );
  assert.deepEqual([usage?.usedBytes, usage?.inodesUsed], [{ value: 7n }, { value: 3n }]);
});

test("security profiles are pulled, listed and removed", async () => {
  const { service, calls } = makeService();
  const pull = async (name: string, profileKind: string) =>
    service.PullSecurityProfile(
      { image: spec(name), auth: null, sandboxConfig: null, profileKind: profileKind as "Seccomp" },
      ctx,
    );
  assert.deepEqual(await pull("here", "Seccomp"), { cached: true });
  assert.deepEqual(await pull("there", "Seccomp"), { cached: false });
  for (const kind of ["SecurityProfileKindUnspecified", "AppArmor"]) {
    await assert.rejects(pull("here", kind), {
      code: "INVALID_ARGUMENT",
      message: /^SecurityProfileInvalid: profile_kind: /,
    });
  }
  await assert.rejects(pull("busy", "Seccomp"), {
    code: "UNKNOWN",
    message: "RegistryUnavailable: host is busy",
  });
  assert.deepEqual(await service.ListSecurityProfiles({}, ctx), {
    profiles: [{ digest: digestOf("p"), refs: ["host/profile@x"], size: 7n }],
  });
  await service.RemoveSecurityProfile({ digest: digestOf("p") }, ctx);
  await assert.rejects(async () => service.RemoveSecurityProfile({ digest: "" }, ctx), {
    code: "INVALID_ARGUMENT",
  });
  assert.deepEqual(calls.at(-1), ["remove profile", digestOf("p")]);
});

test("StreamImages answers what ListImages does, each image once, and then ends", async () => {
  const { service } = makeService();
  const call = { signal: AbortSignal.timeout(60_000), namespace: undefined, headers: {} };
  const listed = await service.ListImages({ filter: null }, call);
  const streamed = [];
  for await (const { images = [] } of service.StreamImages({ filter: null }, call) ?? []) {
    assert.ok(images.length > 0);
    streamed.push(...images);
  }
  assert.deepEqual(streamed, listed?.images);
});
