// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from "node:worker_threads";
import { readCgroupLimits } from "./cgroup/cgroup-limits.ts";
import { countProcesses, firstProcesses } from "./cgroup/cgroup-processes.ts";
import { readCgroupSample, readCgroupUsage } from "./cgroup/read-sample.ts";
import { readInterfaceCounters } from "./interface-counters.ts";
import {
  type FigureAnswer,
  type FigureRequest,
  type FiguresThreadData,
  type NumberedRequest,
  type TaskFigures,
} from "./kernel-figures-requests.ts";
import { countOpenFiles, openFilesLimit } from "./open-files.ts";

/** Entry of the thread that reads the kernel's figures. It does so synchronously: one read costs microseconds. */
const port = parentPort;
/** Answers wait so long for others that go over with them: each message costs the main thread as much as what is in it. */
const mostWaitMs = 2;

port?.on("message", (requests: readonly NumberedRequest[]) => {
  const { reading } = workerData as FiguresThreadData;
  let answers: FigureAnswer[] = [];
  let since = performance.now();
  for (const { sequence, request } of requests) {
    Atomics.store(reading, 0, sequence);
    answers.push(answer(sequence, request));
    const now = performance.now();
    if (now - since < mostWaitMs) continue;
    port.postMessage(answers);
    answers = [];
    since = now;
  }
  if (answers.length > 0) port.postMessage(answers);
});
port?.postMessage(undefined);

function answer(sequence: number, request: FigureRequest): FigureAnswer {
  try {
    return { sequence, value: read(request) };
  } catch (error) {
    return { sequence, failure: error instanceof Error ? error.message : String(error) };
  }
}

function read(request: FigureRequest): unknown {
  switch (request.kind) {
    case "usage":
      return readCgroupUsage(request.paths);
    case "processes":
      return countProcesses(request.paths);
    case "interfaces":
      return readInterfaceCounters(request.pid);
    case "task":
      return taskFigures(request);
  }
}

/** Processes of which the open files are counted; see countOpenFiles. */
const maxListedProcesses = 128;

function taskFigures({
  paths,
  pid,
  withInterfaces,
}: Extract<FigureRequest, { kind: "task" }>): TaskFigures {
  const pids = firstProcesses(paths, maxListedProcesses);
  return {
    cgroup: readCgroupSample(paths),
    limits: readCgroupLimits(paths),
    processes: countProcesses(paths),
    openFiles: pids && countOpenFiles(pids),
    openFilesLimit: openFilesLimit(pid),
    interfaces: withInterfaces ? readInterfaceCounters(pid) : [],
  };
}
