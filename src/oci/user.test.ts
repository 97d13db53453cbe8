// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  containerInput,
  memoryRootfs,
  testRefusals,
  testServices,
} from "../../test/support/spec-input.ts";
import { buildContainerSpec } from "../cri/oci-spec/build-container-spec.ts";

const rootfs = memoryRootfs({
  "/etc/passwd": "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\nbroken:x:y\n",
  "/etc/group": "root:x:0:\napp:x:1001:\nextra:x:2000:other,app\nzeta:x:50:app\n",
});

const rows = [
  { name: "root by default", user: "", security: {}, uid: 0, gid: 0, groups: [0] },
  {
    name: "the image's name",
    user: "app",
    security: {},
    uid: 1000,
    gid: 1001,
    groups: [50, 1001, 2000],
  },
  {
    name: "the image's name and group",
    user: "app:extra",
    security: {},
    uid: 1000,
    gid: 2000,
    groups: [50, 2000],
  },
  { name: "the image's numbers", user: "7:8", security: {}, uid: 7, gid: 8, groups: [8] },
  {
    name: "a number without an entry",
    user: "",
    security: { runAsUser: { value: 5n } },
    uid: 5,
    gid: 0,
    groups: [0],
  },
  {
    name: "a number with an entry",
    user: "",
    security: { runAsUser: { value: 1000n } },
    uid: 1000,
    gid: 1001,
    groups: [50, 1001, 2000],
  },
  {
    name: "name over number",
    user: "1",
    security: { runAsUsername: "app", runAsUser: { value: 5n } },
    uid: 1000,
    gid: 1001,
    groups: [50, 1001, 2000],
  },
  {
    name: "root over the image's user",
    user: "app",
    security: { runAsUser: { value: 0n } },
    uid: 0,
    gid: 0,
    groups: [0],
  },
  {
    name: "a group",
    user: "",
    security: {
      runAsUser: { value: 5n },
      runAsGroup: { value: 9n },
      supplementalGroups: [3n, 3n, 1n],
    },
    uid: 5,
    gid: 9,
    groups: [1, 3, 9],
  },
  {
    name: "Merge with the request's groups",
    user: "app",
    security: { supplementalGroups: [7n] },
    uid: 1000,
    gid: 1001,
    groups: [7, 50, 1001, 2000],
  },
  {
    name: "Strict",
    user: "app",
    security: { supplementalGroups: [7n], supplementalGroupsPolicy: "Strict" as const },
    uid: 1000,
    gid: 1001,
    groups: [7, 1001],
  },
];

for (const { name, user, security, uid, gid, groups } of rows) {
  test(`user: ${name}`, async () => {
    const built = await buildContainerSpec(
      containerInput({
        rootfs,
        imageConfig: { user },
        config: { linux: { securityContext: security } },
      }),
      testServices,
    );
    assert.deepEqual(built.user, { uid, gid, supplementalGroups: groups });
    assert.deepEqual(built.spec.process.user, { uid, gid, additionalGids: groups });
  });
}

const refuse = (name: string, security: object, message: RegExp, user = "") => ({
  name,
  changes: { rootfs, imageConfig: { user }, config: { linux: { securityContext: security } } },
  code: "INVALID_ARGUMENT" as const,
  message,
});

testRefusals([
  refuse(
    "a group without a user",
    { runAsGroup: { value: 5n } },
    /run_as_group: group 5 is given without a user/,
  ),
  refuse("an unknown name", { runAsUsername: "nobody" }, /run_as_username: no user "nobody"/),
  refuse("an unknown group of the image", {}, /the image's user: no group "nope"/, "app:nope"),
  refuse(
    "a uid beyond 31 bits",
    { runAsUser: { value: 2n ** 31n } },
    /run_as_user: 2147483648 is outside/,
  ),
  refuse("a negative uid", { runAsUser: { value: -1n } }, /run_as_user: -1 is outside/),
  refuse("a bad supplemental group", { supplementalGroups: [-5n] }, /supplemental_groups: -5/),
  refuse(
    "an unknown policy",
    { supplementalGroupsPolicy: 7 },
    /supplemental_groups_policy: unknown policy "7"/,
  ),
  refuse("an image's uid beyond 31 bits", {}, /the image's user: uid 4294967295/, "4294967295"),
]);

test("user: a name needs the image to have /etc/passwd, a number does not", async () => {
  const bare = memoryRootfs();
  const numeric = containerInput({ rootfs: bare, imageConfig: { user: "12" } });
  assert.equal((await buildContainerSpec(numeric, testServices)).user.uid, 12);
  await assert.rejects(
    buildContainerSpec(
      containerInput({ rootfs: bare, imageConfig: { user: "app" } }),
      testServices,
    ),
  );
});
