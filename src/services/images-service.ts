// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { compileFilters } from "../base/filter.ts";
import { nowNanos } from "../base/now.ts";
import { type ImageRecord, imagesTable } from "../images/image-records.ts";
import { nameKey, nameLocks } from "../images/name-locks.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import { rememberNamespace } from "../metadata/records.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { publishNameChange } from "./image-events.ts";
import { imageField, imageMessage, newImage, updatedImage } from "./image-message.ts";
import type { StoragePorts } from "./storage-ports.ts";

type Service = "containerd.services.images.v1.Images";

export interface ImagesServicePorts extends Omit<StoragePorts, "leases"> {
  readonly metadata: MetadataStore;
  /** Called when a namespace's images have changed. */
  readonly onChange?: (namespace: string) => Promise<void>;
}

/** How long a synchronous deletion waits for calls that hold off the garbage collection. */
const patienceMs = 10_000;

/** containerd's Images service: names, and what they point to. Content and layers belong to other services. */
export function createImagesService({
  metadata,
  garbage,
  events,
  onChange,
}: ImagesServicePorts): ServiceImpl<Service> {
  const images = imagesTable(metadata);
  const mutex = nameLocks(metadata);
  return {
    Get: async ({ name }, call) => ({
      image: imageMessage(requiredImage(images, requiredNamespace(call), name)),
    }),
    // By name, as containerd has them: ctr shows them as they come.
    List: async ({ filters }, call) => ({
      images: images
        .list(requiredNamespace(call))
        .filter(compileFilters(filters, imageField))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map(imageMessage),
    }),
    Create: async ({ image: wanted }, call) => {
      const namespace = requiredNamespace(call);
      const image = newImage(wanted, nowNanos());
      const { name, labels } = image;
      {
        using _lock = await mutex.lock(nameKey(namespace, name), call);
        using _hold = await garbage.hold(namespace, call);
        if (images.has(namespace, name)) throw fault("ALREADY_EXISTS", `image "${name}" exists`);
        await rememberNamespace(metadata, namespace);
        await images.put(namespace, name, image);
      }
      publishNameChange(events, namespace, { kind: "create", name, labels });
      await onChange?.(namespace);
      return { image: imageMessage(image) };
    },
    Update: async ({ image: update, updateMask }, call) => {
      const namespace = requiredNamespace(call);
      if (!update?.name) throw fault("INVALID_ARGUMENT", "image name must not be empty");
      const { name } = update;
      let image: ImageRecord;
      {
        using _lock = await mutex.lock(nameKey(namespace, name), call);
        using _hold = await garbage.hold(namespace, call);
        const before = requiredImage(images, namespace, name);
        image = updatedImage(before, update, updateMask?.paths ?? [], nowNanos());
        await images.put(namespace, name, image);
      }
      const { labels } = image;
      publishNameChange(events, namespace, { kind: "update", name, labels });
      // What it pointed to before may be garbage now.
      garbage.schedule(namespace);
      await onChange?.(namespace);
      return { image: imageMessage(image) };
    },
    Delete: async ({ name, sync, target }, call) => {
      const namespace = requiredNamespace(call);
      {
        using _lock = await mutex.lock(nameKey(namespace, name), call);
        const image = requiredImage(images, namespace, name);
        if (target && target.digest !== image.target.digest) {
          throw fault("NOT_FOUND", `image "${name}" does not point to "${target.digest}"`);
        }
        await images.delete(namespace, name);
      }
      publishNameChange(events, namespace, { kind: "delete", name, labels: {} });
      await onChange?.(namespace);
      if (sync) await garbage.collect(namespace, { patienceMs, signal: call.signal });
      else garbage.schedule(namespace);
      return {};
    },
  };
}

/** NOT_FOUND when the namespace has none of that name. */
function requiredImage(
  images: RecordTable<ImageRecord>,
  namespace: string,
  name: string,
): ImageRecord {
  const image = images.get(namespace, name);
  if (!image) throw fault("NOT_FOUND", `image "${name}" not found`);
  return image;
}
