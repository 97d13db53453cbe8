#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first thing of ours that runs in the virtual machine; what is written goes to the host.
# udev makes the device's name, maybe later than this is started.
tries=0
until [ -c /dev/virtio-ports/berth ] || [ "$tries" -ge 300 ]; do
  sleep 1
  tries=$((tries + 1))
done
exec >/dev/virtio-ports/berth 2>&1 </dev/null
read -r up _ </proc/uptime
echo "vm: up after $up s of its own"
export HOME=/root NODE_COMPILE_CACHE=/opt/berth/build/compile-cache BERTH_TEST_PATIENCE=12
/opt/berth/scripts/node /opt/berth/test/vm/guest/main.ts || echo "vm: 0 passed, 1 failed, 0 skipped"
