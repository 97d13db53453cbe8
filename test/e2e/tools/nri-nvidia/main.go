// SPDX-License-Identifier: Apache-2.0

// nri-nvidia runs the NRI plugin of NVIDIA's container toolkit, which gives containers the CDI devices that the pod's
// annotation nvidia.cdi.k8s.io/container.NAME lists. Its own program installs a driver's tools first.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk-installer/container/runtime/nri"
	"github.com/sirupsen/logrus"
)

func main() {
	socket := flag.String("socket", "", "the runtime's socket")
	index := flag.String("idx", "10", "two digits")
	namespaces := flag.String("namespaces", "", "of pods that may have management devices, comma-separated")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	plugin := nri.NewPlugin(ctx, logrus.StandardLogger(), strings.Split(*namespaces, ","))
	if err := plugin.Start(ctx, *socket, *index); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("started")
	<-ctx.Done()
	plugin.Stop()
}
