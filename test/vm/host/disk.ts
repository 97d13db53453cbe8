// SPDX-License-Identifier: Apache-2.0
import { must } from "../../support/run.ts";

/** Makes an ext4 file system with the files of `folder`, and room for some more. */
export async function makeDisk(folder: string, label: string, disk: string): Promise<void> {
  const used = Number((await must("du", ["-sk", folder])).split("\t")[0]);
  const size = `${Math.ceil((used * 1.15) / 1024) + 256}M`;
  // It is thrown away after its run, or only read: a journal is of no use.
  const format = ["-q", "-F", "-L", label, "-O", "^has_journal", "-m", "0"];
  await must("mkfs.ext4", [...format, "-d", folder, disk, size], { timeoutMs: 300_000 });
}
