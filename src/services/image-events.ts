// SPDX-License-Identifier: Apache-2.0
import type { EventExchange } from "../events/ports.ts";
import type { NameChange } from "../images/image-records.ts";
import { packAny } from "../rpc/codec.ts";

/** Tells containerd's clients what has become of an image's name, whoever changed it. */
export function publishNameChange(
  events: EventExchange,
  namespace: string,
  { kind, name, labels }: NameChange,
): void {
  events.publish(namespace, `/images/${kind}`, messageOf(kind, name, labels));
}

function messageOf(
  kind: NameChange["kind"],
  name: string,
  labels: NameChange["labels"],
): ReturnType<typeof packAny> {
  switch (kind) {
    case "create":
      return packAny("containerd.services.images.v1.ImageCreate", { name, labels });
    case "update":
      return packAny("containerd.services.images.v1.ImageUpdate", { name, labels });
    case "delete":
      return packAny("containerd.services.images.v1.ImageDelete", { name });
  }
}
