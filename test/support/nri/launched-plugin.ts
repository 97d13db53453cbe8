// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { FakePlugin } from "./fake-plugin.ts";

// A plugin as the daemon starts it: it writes what it was started with into the file that its configuration names, and
// ends with its connection. With a second line, `stays`, it does not.

const socket = new Socket({ fd: Number(process.env["NRI_PLUGIN_SOCKET"]) });
const plugin = new FakePlugin(socket, { name: "says-another", index: "99" });
await plugin.register();
const { config } = await plugin.got("Configure");
const sockets = readdirSync("/proc/self/fd").filter((fd) => {
  try {
    return Number(fd) > 2 && readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false;
  }
});
const { PWD: _pwd, SHLVL: _level, _: _last, ...env } = process.env;
const [told = "", stays] = config.trim().split("\n");
writeFileSync(told, JSON.stringify({ env, sockets, args: process.argv.slice(2) }));
await plugin.closed;
if (stays === "stays") setInterval(() => {}, 60_000);
