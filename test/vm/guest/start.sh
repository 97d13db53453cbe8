#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first thing of ours that runs in the virtual machine; what is written goes to the host.
exec >/dev/virtio-ports/berth 2>&1 </dev/null
read -r up _ </proc/uptime
echo "vm: up after $up s of its own"
export HOME=/root NODE_COMPILE_CACHE=/opt/berth/build/compile-cache BERTH_TEST_PATIENCE=12
/opt/berth/scripts/node /opt/berth/test/vm/guest/main.ts || echo "vm: 0 passed, 1 failed, 0 skipped"
