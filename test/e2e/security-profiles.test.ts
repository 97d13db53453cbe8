// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { pushArtifact } from "../support/push-raw-image.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

suite("security profiles from a registry", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let name: string;

  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
    const names = ["mkdir", "mkdirat"];
    const profile = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names, action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
    };
    name = await pushArtifact(bed.registry.host, "profiles/no-mkdir", [
      Buffer.from(JSON.stringify(profile)),
    ]);
  });
  after(() => bed?.finish());

  const pull = () =>
    cri.images.PullSecurityProfile({ image: { image: name }, profileKind: "Seccomp" });
  const start = (): Promise<string> =>
    cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"], {
      linux: { securityContext: { seccomp: { profileType: "OCI", ociRef: name } } },
    });
  const refuses = async (id: string): Promise<void> => {
    const made = await cri.exec(id, ["mkdir", "/new"]);
    assert.match(made.stderr, /No space left on device/);
    // By its base, the default profile.
    const shared = await cri.exec(id, ["unshare", "-m", "true"]);
    assert.match(shared.stderr, /Operation not permitted/);
    assert.equal((await cri.exec(id, ["cat", "/etc/hostname"])).exitCode, 0);
  };

  test("must be there before a container asks for them", async () => {
    await assert.rejects(start(), { code: "NOT_FOUND", message: /no-mkdir/ });
  });

  test("hold in containers together with the default one, over a restart and their removal", async () => {
    assert.equal((await pull()).cached, false);
    assert.equal((await pull()).cached, true);
    const id = await start();
    await refuses(id);
    await bed.daemon.stop();
    await bed.daemon.start();
    const { profiles } = await cri.images.ListSecurityProfiles({});
    const [profile] = profiles ?? [];
    assert.deepEqual(profile?.refs, [name]);
    assert.equal(
      (await cri.images.ListImages({})).images?.some(({ id }) => id === profile?.digest),
      false,
    );
    await refuses(await start());
    await cri.images.RemoveSecurityProfile({ digest: profile?.digest ?? "" });
    await cri.images.RemoveSecurityProfile({ digest: profile?.digest ?? "" });
    assert.deepEqual((await cri.images.ListSecurityProfiles({})).profiles, []);
    await refuses(id);
    await assert.rejects(start(), { code: "NOT_FOUND" });
  });

  test("of the AppArmor field, and of other kinds, are refused", async () => {
    const apparmor = { profileType: "OCI", ociRef: name } as const;
    await assert.rejects(
      cri.createContainer(pod, bed.images.shell.reference, ["true"], {
        linux: { securityContext: { apparmor } },
      }),
      { code: "INVALID_ARGUMENT", message: /apparmor/ },
    );
    await assert.rejects(cri.images.PullSecurityProfile({ image: { image: name } }), {
      code: "INVALID_ARGUMENT",
      message: /^SecurityProfileInvalid: /,
    });
  });
});
