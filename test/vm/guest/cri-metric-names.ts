// SPDX-License-Identifier: Apache-2.0

const family = (prefix: string, names: string): string[] =>
  names.split(" ").map((name) => `container_${prefix}${name}`);

/** The names that Kubernetes' metrics endpoint is to have of every container and pod. */
export const criMetricNames: readonly string[] = [
  ...family("cpu_", "usage_seconds_total user_seconds_total system_seconds_total"),
  ...family("cpu_cfs_", "periods_total throttled_periods_total throttled_seconds_total"),
  ...family("memory_", "usage_bytes working_set_bytes rss cache mapped_file kernel_usage swap"),
  ...family("memory_", "max_usage_bytes failcnt failures_total"),
  "container_oom_events_total",
  "container_blkio_device_usage_total",
  ...family("fs_", "reads_bytes_total reads_total writes_bytes_total writes_total"),
  ...family("fs_", "usage_bytes limit_bytes inodes_free inodes_total"),
  ...family("network_receive_", "bytes_total packets_total packets_dropped_total errors_total"),
  ...family("network_transmit_", "bytes_total packets_total packets_dropped_total errors_total"),
  ...family("hugetlb_", "usage_bytes max_usage_bytes"),
  ...family("pressure_", "cpu_waiting_seconds_total cpu_stalled_seconds_total"),
  ...family("pressure_", "memory_waiting_seconds_total memory_stalled_seconds_total"),
  ...family("pressure_", "io_waiting_seconds_total io_stalled_seconds_total"),
  ...family("", "processes threads threads_max file_descriptors sockets ulimits_soft"),
  ...family("", "last_seen start_time_seconds"),
  ...family("spec_", "cpu_period cpu_shares cpu_quota memory_limit_bytes"),
  ...family("spec_", "memory_swap_limit_bytes memory_reservation_limit_bytes"),
];
