// SPDX-License-Identifier: Apache-2.0

/** Label with the signal that the image wants: `ctr tasks kill` and `berth task kill` send it by default. */
export const stopSignalLabel = "io.containerd.image.config.stop-signal";
