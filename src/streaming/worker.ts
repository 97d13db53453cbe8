// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from "node:worker_threads";
import { toFault } from "../base/errors.ts";
import { relieveThread } from "../base/memory/memory-relief.ts";
import { lowerPriority, servingNiceness } from "../base/os/thread-priority.ts";
import { pathOf, StreamingHttp } from "./http.ts";
import { MainLink } from "./main-link.ts";
import type {
  FaultMessage,
  SessionTarget,
  StreamingWorkerData,
  WorkerNotice,
  WorkerRequest,
} from "./messages.ts";
import { Sessions } from "./sessions.ts";
import { Tokens } from "./tokens.ts";

/** Entry of the streaming worker thread: runs the server for the main thread at the other end of the port. */
const port = parentPort;
if (port !== null) {
  relieveThread();
  lowerPriority(servingNiceness); // a session at full speed takes the time that is left, not the kubelet's
  serve(workerData as StreamingWorkerData, (notice) => port.postMessage(notice));
}

function serve(
  { config, probeMs }: StreamingWorkerData,
  post: (notice: WorkerNotice) => void,
): void {
  const link = new MainLink(post);
  const tokens = new Tokens<SessionTarget>();
  const sessions = new Sessions(config, link, probeMs);
  let http: StreamingHttp | undefined;

  const close = async (): Promise<void> => {
    sessions[Symbol.dispose]();
    await http?.[Symbol.asyncDispose]();
    post({ kind: "closed" });
  };

  const issue = (sequence: number, target: SessionTarget): void => {
    try {
      const path = pathOf(target.kind, tokens.issue(target));
      post({ kind: "issued", sequence, answer: { ok: true, value: path } });
    } catch (error) {
      post({ kind: "issued", sequence, answer: { ok: false, fault: faultMessage(error) } });
    }
  };

  port?.on("message", (request: WorkerRequest) => {
    switch (request.kind) {
      case "issue":
        issue(request.sequence, request.target);
        break;
      case "answer":
        link.answer(request.sequence, request.answer);
        break;
      case "ended":
        link.ended(request.session, request.end);
        break;
      case "limit":
        sessions.limit(request.limits);
        http?.limit(request.limits);
        break;
      case "close":
        void close(); // cannot reject
        break;
    }
  });

  const listen = async (): Promise<void> => {
    http = new StreamingHttp({ config, tokens, sessions, link });
    post({ kind: "listening", address: await http.listen(config.address) });
  };
  listen().catch((error: unknown) => post({ kind: "failed", fault: faultMessage(error) }));
}

function faultMessage(error: unknown): FaultMessage {
  const { code, message } = toFault(error);
  return { code, message };
}
