// SPDX-License-Identifier: Apache-2.0
import { isIP } from "node:net";
import { z } from "zod";
import { fault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";

export interface CniInterface {
  readonly name: string;
  readonly mac: string;
  /** Path of the namespace it is in; "" for one of the host. */
  readonly sandbox: string;
}

export interface CniIp {
  /** Without the prefix length. */
  readonly address: string;
  readonly family: 4 | 6;
  /** "" when there is none. */
  readonly gateway: string;
  /** Name of the interface it is on; undefined when the plugin does not say. */
  readonly interface: CniInterface | undefined;
}

/** What a chain of plugins achieved, in one shape for all versions of the specification. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
}

const oldIp = z.looseObject({ ip: z.string(), gateway: z.string().nullish() });

const resultSchema = z.looseObject({
  interfaces: z
    .array(
      z.looseObject({
        name: z.string(),
        mac: z.string().nullish(),
        sandbox: z.string().nullish(),
      }),
    )
    .nullish(),
  ips: z
    .array(
      z.looseObject({
        address: z.string(),
        gateway: z.string().nullish(),
        interface: z.number().int().nullish(),
      }),
    )
    .nullish(),
  ip4: oldIp.nullish(),
  ip6: oldIp.nullish(),
});

/**
 * Reads a plugin's result of any version: `ips` with an index into `interfaces` since 0.3.0, `ip4`
 * and `ip6` before. Throws INTERNAL naming the network when it is none.
 */
export function parseResult(network: string, raw: unknown): CniResult {
  const parsed = resultSchema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const problem = `${issue?.path.join(".") ?? ""} ${issue?.message}`;
    throw invalid(network, `no CNI result: ${shortened(problem, 300)}`);
  }
  const { data } = parsed;
  const interfaces = (data.interfaces ?? []).map(({ name, mac, sandbox }) => ({
    name,
    mac: mac ?? "",
    sandbox: sandbox ?? "",
  }));
  const ips: CniIp[] = [];
  const add = (cidr: string, gateway: string, on: CniInterface | undefined): void => {
    const [address = "", prefix = "", ...more] = cidr.split("/", 3);
    const family = isIP(address);
    const isCidr = /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
    // With a zone, "fe80::1%eth0", it is an address on this node only.
    if ((family !== 4 && family !== 6) || !isCidr || more.length > 0 || address.includes("%")) {
      throw invalid(
        network,
        `"${shortened(cidr, 100)}", which is no address with its prefix length`,
      );
    }
    ips.push({ address, family, gateway, interface: on });
  };
  for (const ip of data.ips ?? []) {
    const at = ip.interface ?? -1;
    if (at >= interfaces.length) {
      const shown = shortened(ip.address, 100);
      throw invalid(network, `"${shown}" on interface ${at} of ${interfaces.length}`);
    }
    add(ip.address, ip.gateway ?? "", at < 0 ? undefined : interfaces[at]);
  }
  for (const ip of [data.ip4, data.ip6]) {
    if (ip !== undefined && ip !== null) add(ip.ip, ip.gateway ?? "", undefined);
  }
  return { interfaces, ips };
}

function invalid(network: string, what: string): Error {
  return fault("INTERNAL", `network "${network}" answered ${what}`);
}

export type IpPreference = "ipv4" | "ipv6" | "cni";

/**
 * The pod's addresses, the preferred one first: those on `ifName`, and those that a plugin assigned to no interface.
 * `cni` keeps the plugins' order. Empty when there are none.
 */
export function podAddresses(
  result: CniResult,
  ifName: string,
  preference: IpPreference,
): readonly string[] {
  const ours = result.ips.filter(({ interface: on }) => on === undefined || on.name === ifName);
  const family = preference === "ipv6" ? 6 : 4;
  const first = preference === "cni" ? ours[0] : ours.find((ip) => ip.family === family);
  const chosen = first ?? ours[0];
  if (chosen === undefined) return [];
  return [chosen, ...ours.filter((ip) => ip !== chosen)].map((ip) => ip.address);
}
