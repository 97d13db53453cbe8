// SPDX-License-Identifier: Apache-2.0

interface Dashboard {
  readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[];
}

/** The PromQL of a Grafana dashboard's panels. */
export function dashboardExpressions(json: string): string[] {
  const { panels } = JSON.parse(json) as Dashboard;
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}
