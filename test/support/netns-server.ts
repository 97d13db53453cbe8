// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { once } from "node:events";

/** A TCP and UDP server inside a network namespace, at one port; it says `answer` to everyone. */
export interface NetnsServer extends AsyncDisposable {
  readonly answer: string;
}

const program = `
const [port, answer] = process.argv.slice(1);
const udp = require("node:dgram").createSocket("udp4");
udp.on("message", (_, from) => udp.send(answer, from.port, from.address));
require("node:net").createServer((socket) => socket.end(answer)).listen(+port, "0.0.0.0", () =>
  udp.bind(+port, "0.0.0.0", () => console.log("listening")));
process.stdin.on("end", () => process.exit()).resume();
`;

export async function serveIn(netns: string, port: number): Promise<NetnsServer> {
  const answer = `hello from port ${port}`;
  // It ends with its stdin, so it does not outlive a test that was killed.
  const child = spawn(
    "nsenter",
    [`--net=${netns}`, process.execPath, "-e", program, String(port), answer],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  await once(child.stdout, "data", { signal: AbortSignal.timeout(60_000) });
  return {
    answer,
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, "exit");
      child.stdin.end();
      await gone;
    },
  };
}
