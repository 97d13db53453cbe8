// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mount } from "../../gen/cri.gen.ts";
import type { Image } from "../../images/ports.ts";
import { echoedMounts } from "./echoed-mounts.ts";

const id = `sha256:${"a".repeat(64)}`;
const images = {
  find: (name: string) => (["app:1", id].includes(name) ? ({ id } as unknown as Image) : undefined),
};

const mount = (image: string | undefined, imageRef = ""): Mount => ({
  containerPath: "/x",
  hostPath: image === undefined ? "/host" : "",
  readonly: true,
  recursiveReadOnly: false,
  selinuxRelabel: false,
  propagation: "PROPAGATION_PRIVATE",
  uidMappings: [],
  gidMappings: [],
  imageSubPath: "",
  mountOptions: [],
  image:
    image === undefined
      ? null
      : { image, annotations: {}, userSpecifiedImage: "app", runtimeHandler: "", imageRef },
});

const rows: { name: string; given: string | undefined; told: Parameters<typeof mount> }[] = [
  { name: "a folder of the host", given: undefined, told: [undefined] },
  { name: "an image by its name", given: "app:1", told: [id, id] },
  { name: "an image by its id", given: id, told: [id, id] },
  { name: "no image", given: "", told: [""] },
];

for (const { name, given, told } of rows) {
  test(`echoedMounts tells ${name}`, () => {
    assert.deepEqual(echoedMounts([mount(given)], images), [mount(...told)]);
  });
}
