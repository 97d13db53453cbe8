// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import path from "node:path";
import type { V1Node } from "@kubernetes/client-node";
import { fault } from "../base/errors.ts";
import { readStart } from "../base/read-bounded.ts";
import { readKubelet } from "../doctor/facts/kubelet.ts";
import { flagOf, hostProcesses } from "../doctor/facts/processes.ts";
import { Host } from "../doctor/host.ts";

const certificate = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/** In the order in which kubelets look. */
const machineIds = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/**
 * Refuses a node that is another machine: it would be cordoned, and this one's kubelet be stopped. A boot id is of one
 * start of one kernel, so that another one is another machine. Machines in containers share it, and clones have one
 * machine id: where the node's address is not here, as behind a cloud's NAT, both must be the same, and the kubelet here
 * must not have another name.
 */
export async function refuseOther(
  { status }: V1Node,
  name: string,
  { root }: { readonly root: string },
): Promise<void> {
  const boot = (await readStart("/proc/sys/kernel/random/boot_id", 64)).toString().trim();
  const told = status?.nodeInfo;
  const addresses = (status?.addresses ?? []).filter(({ type }) => type === "InternalIP");
  const own = ownAddresses();
  const isHere = addresses.length === 0 || addresses.some(({ address }) => own.has(address));
  const other = (why: string): Error =>
    fault(
      "FAILED_PRECONDITION",
      `node ${name} is not this machine (${why}): run berth migrate on it`,
    );
  if (told?.bootID && told.bootID !== boot) {
    throw other(
      isHere
        ? `its boot id is ${told.bootID}, and this machine's ${boot}: it is another machine, or its kubelet has not run since the last boot`
        : `its address is ${shown(addresses)}, and its boot id ${told.bootID}`,
    );
  }
  if (isHere) return;
  const address = `its address is ${shown(addresses)}`;
  if (!told?.bootID || !told.machineID) throw other(address);
  const machine = await machineId(root);
  if (told.machineID !== machine)
    throw other(
      `${address}, and its machine id ${told.machineID}, this machine's ${machine || "none"}`,
    );
  const here = await nameHere(root);
  if (here === name) return;
  if (here !== undefined) throw other(`${address}, and the kubelet here is ${here}`);
}

function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return new Set(all.map(({ address }) => address));
}

function shown(addresses: readonly { readonly address: string }[]): string {
  return addresses.map(({ address }) => address).join(", ");
}

async function machineId(root: string): Promise<string> {
  for (const file of machineIds) {
    const text = await readStart(path.join(root, file), 128).catch(() => "");
    if (text.toString().trim() !== "") return text.toString().trim();
  }
  return "";
}

/** What the kubelet here is called: by its flag, else by the certificate that it speaks to the API server with. */
async function nameHere(root: string): Promise<string | undefined> {
  const host = new Host(root);
  const facts = await readKubelet(host, await hostProcesses(host));
  const told = facts && flagOf(facts.flags, "hostname-override");
  if (told !== undefined) return told;
  try {
    const { subject } = new X509Certificate(await readFile(path.join(root, certificate)));
    return /^CN=system:node:(.+)$/m.exec(subject)?.[1];
  } catch {
    return undefined; // there is none
  }
}
