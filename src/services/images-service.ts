// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { compileFilters } from "../base/filter.ts";
import { KeyedMutex } from "../base/keyed-mutex.ts";
import { nowNanos } from "../base/now.ts";
import type { ImagesDeleteImageRequest, ImagesImage } from "../gen/images.gen.ts";
import { type ImageRecord, imagesTable } from "../images/image-records.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import { rememberNamespace } from "../metadata/records.ts";
import { packAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext, ServiceImpl } from "../rpc/service.ts";
import { imageField, imageMessage, newImage, updatedImage } from "./image-message.ts";
import type { StoragePorts } from "./storage-ports.ts";

type Service = "containerd.services.images.v1.Images";

export interface ImagesServicePorts extends Omit<StoragePorts, "leases"> {
  readonly metadata: MetadataStore;
  /** Told when a namespace's images have changed. */
  readonly onChange?: (namespace: string) => Promise<void>;
}

/** How long a synchronous deletion waits for those who hold the collection off. */
const patienceMs = 10_000;

/** containerd's Images service: names, and what they point to. Content and layers are others' matter. */
export function createImagesService(ports: ImagesServicePorts): ServiceImpl<Service> {
  const service = new ImagesService(ports);
  return {
    Get: async ({ name }, call) => ({ image: imageMessage(service.require(name, call)) }),
    List: async ({ filters }, call) => ({
      images: service.list(filters, call).map(imageMessage),
    }),
    Create: async ({ image }, call) => ({
      image: imageMessage(await service.create(image, call)),
    }),
    Update: async ({ image, updateMask }, call) => ({
      image: imageMessage(await service.update(image, updateMask?.paths ?? [], call)),
    }),
    Delete: async (request, call) => {
      await service.delete(request, call);
      return {};
    },
  };
}

class ImagesService {
  readonly #ports: ImagesServicePorts;
  readonly #images: RecordTable<ImageRecord>;
  readonly #mutex = new KeyedMutex();

  constructor(ports: ImagesServicePorts) {
    this.#ports = ports;
    this.#images = imagesTable(ports.metadata);
  }

  require(name: string, call: CallContext): ImageRecord {
    const image = this.#images.get(requiredNamespace(call), name);
    if (!image) throw fault("NOT_FOUND", `image "${name}" not found`);
    return image;
  }

  list(filters: readonly string[], call: CallContext): readonly ImageRecord[] {
    return this.#images.list(requiredNamespace(call)).filter(compileFilters(filters, imageField));
  }

  async create(wanted: ImagesImage | null, call: CallContext): Promise<ImageRecord> {
    const namespace = requiredNamespace(call);
    const image = newImage(wanted, nowNanos());
    const { name, labels } = image;
    {
      using _lock = await this.#mutex.lock(`${namespace}/${name}`, call);
      using _hold = await this.#ports.garbage.hold(namespace, call);
      if (this.#images.has(namespace, name)) {
        throw fault("ALREADY_EXISTS", `image "${name}" exists`);
      }
      await rememberNamespace(this.#ports.metadata, namespace);
      await this.#images.put(namespace, name, image);
    }
    const event = packAny("containerd.services.images.v1.ImageCreate", { name, labels });
    this.#ports.events.publish(namespace, "/images/create", event);
    await this.#ports.onChange?.(namespace);
    return image;
  }

  async update(
    update: ImagesImage | null,
    paths: readonly string[],
    call: CallContext,
  ): Promise<ImageRecord> {
    const namespace = requiredNamespace(call);
    if (!update?.name) throw fault("INVALID_ARGUMENT", "image name must not be empty");
    const { name } = update;
    let image: ImageRecord;
    {
      using _lock = await this.#mutex.lock(`${namespace}/${name}`, call);
      using _hold = await this.#ports.garbage.hold(namespace, call);
      image = updatedImage(this.require(name, call), update, paths, nowNanos());
      await this.#images.put(namespace, name, image);
    }
    const event = packAny("containerd.services.images.v1.ImageUpdate", {
      name,
      labels: image.labels,
    });
    this.#ports.events.publish(namespace, "/images/update", event);
    // What it pointed to before may be garbage now.
    this.#ports.garbage.schedule(namespace);
    await this.#ports.onChange?.(namespace);
    return image;
  }

  async delete({ name, sync, target }: ImagesDeleteImageRequest, call: CallContext): Promise<void> {
    const namespace = requiredNamespace(call);
    const { garbage, events, onChange } = this.#ports;
    {
      using _lock = await this.#mutex.lock(`${namespace}/${name}`, call);
      const image = this.require(name, call);
      if (target && target.digest !== image.target.digest) {
        throw fault("NOT_FOUND", `image "${name}" does not point to "${target.digest}"`);
      }
      await this.#images.delete(namespace, name);
    }
    events.publish(
      namespace,
      "/images/delete",
      packAny("containerd.services.images.v1.ImageDelete", { name }),
    );
    await onChange?.(namespace);
    if (sync) await garbage.collect(namespace, { patienceMs, signal: call.signal });
    else garbage.schedule(namespace);
  }
}
