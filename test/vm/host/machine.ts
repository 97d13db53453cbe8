// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import readline from "node:readline";
import { findProgram } from "../../support/lacking.ts";
import type { BaseImage } from "./base-image.ts";

export interface MachineOptions {
  readonly base: BaseImage;
  /** Further disks, in the order of their device names. What is written to any disk is there until QEMU ends. */
  readonly disks: readonly string[];
  /** Where the console's output goes. */
  readonly console: string;
  /** Until its first line. */
  readonly bootMs: number;
  /** Until the end, the start among them. */
  readonly totalMs: number;
  /** Every line that the guest writes; true ends the machine. */
  readonly onLine: (line: string) => boolean;
}

/**
 * Runs a virtual machine by software emulation until `onLine` has seen enough; it may reboot. Throws when it does not
 * come up, ends by itself or takes too long; in any case QEMU is gone afterwards.
 */
export async function runMachine(options: MachineOptions): Promise<void> {
  // With a death signal it does not outlive a test process that was killed.
  const launcher = findProgram("setpriv") ? ["setpriv", "--pdeathsig", "KILL"] : [];
  const argv = [...launcher, "qemu-system-x86_64", ...machineArguments(options)];
  const child = spawn(argv[0] ?? "", argv.slice(1), {
    // The guest's writes wait while nobody reads, and a closed standard input counts as nobody.
    stdio: ["pipe", "pipe", "pipe"],
  });
  const complaints: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => complaints.push(chunk));
  const gone = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      complaints.push(Buffer.from(error.message));
      resolve();
    });
    child.once("close", () => resolve());
  });
  let failure: string | undefined;
  let isDone = false;
  const end = (why?: string): void => {
    failure ??= why;
    child.kill("SIGKILL");
  };
  const bootTimer = setTimeout(
    () => end(`nothing came from it for ${options.bootMs / 1000} s`),
    options.bootMs,
  );
  const timer = setTimeout(
    () => end(`it was not done after ${options.totalMs / 1000} s`),
    options.totalMs,
  );
  readline.createInterface({ input: child.stdout }).on("line", (line) => {
    clearTimeout(bootTimer);
    if (isDone) return;
    isDone = options.onLine(line);
    if (isDone) end();
  });
  await gone;
  clearTimeout(bootTimer);
  clearTimeout(timer);
  if (isDone) return;
  const said = Buffer.concat(complaints).toString().trim();
  throw new Error(
    [
      `the virtual machine: ${failure ?? "it ended by itself"}`,
      ...(said === "" ? [] : [said]),
      "the end of its console:",
      ...(await consoleTail(options.console)),
    ].join("\n"),
  );
}

function machineArguments(options: MachineOptions): string[] {
  const { base, disks } = options;
  // psi=1: distributions differ in whether pressure is accounted. Two-megabyte pages for hugetlb limits.
  const kernel = "root=/dev/vda rw console=ttyS0 psi=1 hugepages=16 systemd.show_status=1";
  // Drivers that look long for what is not there.
  const idle = "modprobe.blacklist=kvm_amd,kvm,powernow_k8,ata_piix,aesni_intel,floppy";
  const drive = (file: string): string =>
    `file=${file.replaceAll(",", ",,")},format=raw,if=virtio,snapshot=on`;
  // A plain CPU model: programs ended by SIGSEGV now and then where QEMU 7.2 emulated all that it can (AVX).
  return [
    "-accel tcg,thread=multi -cpu Nehalem -smp 2 -m 3072",
    "-nodefaults -display none",
    "-device virtio-serial-pci -chardev stdio,id=berth,signal=off",
    "-device virtserialport,chardev=berth,name=berth",
  ]
    .flatMap((line) => line.split(" "))
    .concat("-serial", `file:${options.console}`)
    .concat("-kernel", base.kernel, "-initrd", base.initrd, "-append", `${kernel} ${idle}`)
    .concat([base.disk, ...disks].flatMap((file) => ["-drive", drive(file)]));
}

async function consoleTail(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  // Without colours and cursor movements.
  const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]|\\r`, "g");
  return text.replaceAll(escapes, "").trimEnd().split("\n").slice(-60);
}
