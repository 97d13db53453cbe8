// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type CniNetwork, makeCniNetwork } from "../../test/support/cni.ts";
import { cniBinFolder } from "../../test/support/lacking.ts";
import { must } from "../../test/support/run.ts";
import { type Scratch, scratch } from "../../test/support/scratch.ts";

/** The plugins that a plain pod of the bench's network needs: bridge with its IPAM. portmap has no port to map. */
export class BareCni implements AsyncDisposable {
  readonly #home: Scratch;
  readonly #network: CniNetwork;
  readonly #input: Readonly<Record<string, unknown>>;

  private constructor(
    home: Scratch,
    network: CniNetwork,
    input: Readonly<Record<string, unknown>>,
  ) {
    this.#home = home;
    this.#network = network;
    this.#input = input;
  }

  static async make(): Promise<BareCni> {
    const home = await scratch({ prefix: "floors" });
    const network = await makeCniNetwork(path.join(home.path, "cni"), home.tag);
    const file = path.join(network.confDir, `10-${network.name}.conflist`);
    const { cniVersion, name, plugins } = JSON.parse(await readFile(file, "utf8")) as {
      cniVersion: string;
      name: string;
      plugins: Record<string, unknown>[];
    };
    return new BareCni(home, network, { ...plugins[0], cniVersion, name });
  }

  async makeNamespace(name: string): Promise<void> {
    await must("ip", ["netns", "add", name]);
  }

  async removeNamespace(name: string): Promise<void> {
    await must("ip", ["netns", "delete", name]);
  }

  async add(name: string): Promise<unknown> {
    return JSON.parse(await this.#run("ADD", name, this.#input));
  }

  async del(name: string, prevResult: unknown): Promise<void> {
    await this.#run("DEL", name, { ...this.#input, prevResult });
  }

  #run(command: string, name: string, input: unknown): Promise<string> {
    const folder = cniBinFolder();
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: name,
      CNI_NETNS: `/run/netns/${name}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: folder,
    };
    return must(path.join(folder, "bridge"), [], { env, input: JSON.stringify(input) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }
}
