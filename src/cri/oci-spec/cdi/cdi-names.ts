// SPDX-License-Identifier: Apache-2.0
// CDI's names, as its parser has them: VENDOR/CLASS=NAME.

const qualifier = "[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?";
const device = "[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?";

export const kindPattern = new RegExp(`^${qualifier}/${qualifier}$`);
export const deviceNamePattern = new RegExp(`^${device}$`);
export const qualifiedNamePattern = new RegExp(`^${qualifier}/${qualifier}=${device}$`);
