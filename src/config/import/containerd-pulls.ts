// SPDX-License-Identifier: Apache-2.0
import { mostDownloads } from "../keys/images.ts";
import { at, put, type Table } from "./tables.ts";

/** containerd's part that pulls since 2.1, where nothing keeps the CRI plugin from leaving pulls to it. */
export const transfer = "plugins/io.containerd.transfer.v1.local";
const usual = 3;
/** With any of these set the CRI plugin pulls by itself, by its own keys. */
const pullsItself: ReadonlyMap<string, unknown> = new Map([
  ["cri/use_local_image_pull", true],
  ["cri/containerd/discard_unpacked_layers", true],
  ["cri/image_pull_with_sync_fs", true],
]);
const oldRegistries = /^cri\/registry\/(mirrors|configs|auths)\//;

/** How many layers are downloaded at once, whichever of containerd's parts pulls, and which images stay. */
export function finishPulls(document: Table, facts: ReadonlyMap<string, unknown>): void {
  const downloads = facts.get(
    isOfCri(facts) ? "cri/max_concurrent_downloads" : `${transfer}/max_concurrent_downloads`,
  );
  if (Number.isInteger(downloads) && downloads !== usual) {
    const count = Number(downloads);
    // containerd knows no limit, and 0 is none.
    const value = count < 1 ? mostDownloads : Math.min(count, mostDownloads);
    put(document, ["images", "max_concurrent_downloads"], value);
  }
  const hosts = facts.get(`${transfer}/config_path`);
  const configPath = ["registry", "config_path"];
  if (typeof hosts === "string" && hosts !== "" && at(document, configPath) === undefined) {
    put(document, configPath, hosts);
  }
  const pinned = [...facts].filter(([key]) => key.startsWith("cri/pinned_images/"));
  const names = pinned
    .map(([, name]) => name)
    .filter((one) => typeof one === "string" && one !== "");
  if (names.length > 0) put(document, ["images", "pinned"], [...new Set(names)]);
}

function isOfCri(facts: ReadonlyMap<string, unknown>): boolean {
  const own = facts.get("cri/max_concurrent_downloads");
  return (
    (own !== undefined && own !== usual) ||
    [...pullsItself].some(([key, value]) => facts.get(key) === value) ||
    [...facts.keys()].some((key) => oldRegistries.test(key))
  );
}
