// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { Socket } from "node:net";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { socketPair } from "../base/os/socket-pair.ts";
import { type RunningProcess, spawnDetached } from "../base/process.ts";
import { readBounded, readStart } from "../base/read-bounded.ts";
import { settlesWithin } from "../base/waits.ts";
import { PluginInputs } from "./plugin-inputs.ts";
import { type PluginName, pluginNameOfFile } from "./plugin-name.ts";
import type { Admits } from "./plugin-socket.ts";

/** Programs in the folder; more are not looked at. */
const mostPrograms = 128;
/** How long a killed one may take to be gone. */
const killedMs = 2000;
const mostConfigBytes = 1024 * 1024;
const wasmStart = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

export interface LaunchedPluginsNeeds {
  readonly set: Admits;
  readonly pluginPath: string;
  readonly pluginConfigPath: string;
  /** For what the next daemon must find. */
  readonly runFolder: string;
  readonly log: Logger;
}

/**
 * The programs of the folder for plugins. Each is started once, with the daemon, and killed when it does not take part any
 * longer, and at the latest with the daemon, or before the next daemon starts its own. One that ends is not started again: NRI leaves that to whoever installed it.
 */
export class LaunchedPlugins implements AsyncDisposable {
  readonly #needs: LaunchedPluginsNeeds;
  readonly #running = new Set<RunningProcess>();
  readonly #inputs: PluginInputs;

  constructor(needs: LaunchedPluginsNeeds) {
    this.#needs = needs;
    this.#inputs = new PluginInputs(needs.runFolder, needs.log);
  }

  /**
   * Starts them all; settles when each takes part, or never will. What is wrong with one is for the log and keeps back no
   * other.
   */
  async start(call: Cancellable): Promise<void> {
    const { pluginPath, log } = this.#needs;
    await this.#inputs.endAll();
    const files = await this.#files();
    if (files.length > mostPrograms) {
      log.error({ folder: pluginPath, most: mostPrograms }, "there are too many NRI plugins");
    }
    await Promise.all(files.slice(0, mostPrograms).map((file) => this.#startOne(file, call)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ends = [...this.#running].map(({ exited }) => exited);
    for (const running of this.#running) running.kill("SIGKILL");
    await settlesWithin(Promise.all(ends), killedMs);
    await this.#inputs.endAll();
  }

  async #files(): Promise<readonly string[]> {
    const { pluginPath, log } = this.#needs;
    try {
      return (await readdir(pluginPath)).sort();
    } catch (err) {
      if (errnoOf(err) !== "ENOENT") {
        log.error({ folder: pluginPath, err }, "folder of NRI plugins cannot be read");
      }
      return [];
    }
  }

  async #startOne(file: string, call: Cancellable): Promise<void> {
    const program = path.join(this.#needs.pluginPath, file);
    try {
      const facts = await stat(program);
      if (!facts.isFile() || (facts.mode & 0o111) === 0) return;
      const name = pluginNameOfFile(file);
      if ((await readStart(program, wasmStart.length)).equals(wasmStart)) {
        this.#needs.log.warn({ program }, "NRI plugin is WebAssembly, which is not supported");
        return;
      }
      await this.#launch(program, name, call);
    } catch (err) {
      this.#needs.log.warn({ program, err }, "NRI plugin does not come to take part");
    }
  }

  async #launch(program: string, name: PluginName, call: Cancellable): Promise<void> {
    const config = await this.#configOf(name);
    const input = await this.#inputs.open(path.basename(program));
    const { running, socket } = this.#spawn(program, name, input);
    this.#running.add(running);
    socket.on("error", () => {}); // "close" comes after it
    socket.on("close", () => running.kill("SIGKILL"));
    void running.exited.then((ending) => {
      this.#running.delete(running);
      socket.destroy();
      this.#needs.log.info({ program, ...ending }, "NRI plugin has ended");
    });
    await this.#needs.set.admit(socket, { kind: "launched", name, config }, call);
  }

  /** Closes `input`. */
  #spawn(
    program: string,
    name: PluginName,
    input: number,
  ): { readonly running: RunningProcess; readonly socket: Socket } {
    using owned = new DisposableStack();
    owned.defer(() => closeSync(input));
    const [ours, theirs] = socketPair();
    owned.defer(() => closeSync(theirs));
    // It ends with the socket, and the other way round.
    const socket = new Socket({ fd: ours });
    try {
      const running = spawnDetached(program, [], {
        env: { NRI_PLUGIN_NAME: name.name, NRI_PLUGIN_IDX: name.index, NRI_PLUGIN_SOCKET: "3" },
        stdin: input,
        listener: theirs,
      });
      return { running, socket };
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  async #configOf({ index, name }: PluginName): Promise<string> {
    if (this.#needs.pluginConfigPath === "") return "";
    for (const file of [`${index}-${name}.conf`, `${name}.conf`]) {
      try {
        const full = path.join(this.#needs.pluginConfigPath, file);
        return (await readBounded(full, mostConfigBytes, { follow: true })).toString("utf8");
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") throw error;
      }
    }
    return "";
  }
}
