// SPDX-License-Identifier: Apache-2.0
// A gRPC server that does nothing: `bare-server.ts SOCKET FOLDER` answers each method whose name is a file's in that folder,
// SERVICE.METHOD, with its bytes.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import {
  type MethodDefinition,
  Server,
  ServerCredentials,
  type sendUnaryData,
} from "@grpc/grpc-js";

const [socket = "", folder = ""] = process.argv.slice(2);
const asIs = (bytes: Buffer): Buffer => bytes;

const server = new Server();
for (const name of readdirSync(folder)) {
  const answer = readFileSync(path.join(folder, name));
  const at = name.lastIndexOf(".");
  const method: MethodDefinition<Buffer, Buffer> = {
    path: `/${name.slice(0, at)}/${name.slice(at + 1)}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const handler = (_call: unknown, respond: sendUnaryData<Buffer>): void => respond(null, answer);
  server.addService({ [name]: method }, { [name]: handler });
}
server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  process.stdout.write("serves\n");
});
