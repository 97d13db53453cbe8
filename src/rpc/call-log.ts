// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../base/logger.ts";
import type { CallReport } from "./grpc-calls.ts";

const reads =
  /^(Get|List|Status|Stats|Version|Plugins|Server|Info|Wait|Subscribe|Metrics|Read|Mounts|Stat|Usage)|Status$|Stats$|^RuntimeConfig$|^ImageFsInfo$/;

/** Failures that say something about the caller or the moment, not about us. */
const expected = new Set<CallReport["code"]>([
  "NOT_FOUND",
  "CANCELLED",
  "UNIMPLEMENTED",
  "ALREADY_EXISTS",
]);

/**
 * Logs each call once, when it has ended: what changes state at info, reads at debug, failures at
 * warn (INTERNAL and DATA_LOSS at error, with the cause). Messages' contents are never logged.
 */
export function logCalls(log: Logger): (report: CallReport) => void {
  return (report) => {
    const fields = {
      service: report.service,
      rpc: report.method,
      ...(report.namespace === undefined ? {} : { namespace: report.namespace }),
      durationMs: Math.round(report.durationSeconds * 1000),
    };
    if (report.error) {
      const failure = { ...fields, code: report.code, err: report.error };
      if (report.code === "INTERNAL" || report.code === "DATA_LOSS")
        log.error(failure, "rpc failed");
      else if (expected.has(report.code) && reads.test(report.method))
        log.debug(failure, "rpc failed");
      else log.warn(failure, "rpc failed");
    } else if (reads.test(report.method)) log.debug(fields, "rpc done");
    else log.info(fields, "rpc done");
  };
}
