// SPDX-License-Identifier: Apache-2.0

/** How a session of exec or attach ended. */
export type Outcome =
  | { readonly kind: "exited"; readonly exitCode: number }
  | { readonly kind: "failed"; readonly message: string };

/**
 * The text for the error stream. Versions 4 and 5 always get a Kubernetes Status as JSON; before, a
 * failure is plain text and success is silence.
 */
export function statusText(version: number, outcome: Outcome): string {
  if (version < 4) return plainText(outcome);
  if (outcome.kind === "failed") {
    return status({
      status: "Failure",
      message: outcome.message,
      reason: "InternalError",
      code: 500,
    });
  }
  if (outcome.exitCode === 0) return status({ status: "Success" });
  return status({
    status: "Failure",
    message: exitMessage(outcome.exitCode),
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(outcome.exitCode) }] },
  });
}

function plainText(outcome: Outcome): string {
  if (outcome.kind === "failed") return outcome.message;
  return outcome.exitCode === 0 ? "" : exitMessage(outcome.exitCode);
}

function exitMessage(exitCode: number): string {
  return `command terminated with non-zero exit code: ${exitCode}`;
}

function status(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ metadata: {}, ...fields });
}
