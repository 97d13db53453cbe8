// SPDX-License-Identifier: Apache-2.0

// goclient lives through images, containers and tasks by containerd's own client library. It prints one line of
// JSON a check: its name, and what was wrong with it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
)

// bench is what every check works with: a client, a namespace of its own, an image in a registry.
type bench struct {
	*containerd.Client
	address string
	ref     string
	image   containerd.Image
	tag     string
	later   []func()
}

type check struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

func main() {
	address := flag.String("address", "", "socket of the daemon")
	ref := flag.String("image", "", "image to pull, with a shell, sleep and cat")
	namespace := flag.String("namespace", "goclient", "namespace to work in")
	flag.Parse()
	if err := work(*address, *ref, *namespace); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(address, ref, namespace string) error {
	client, err := containerd.New(address, containerd.WithDefaultNamespace(namespace))
	if err != nil {
		return err
	}
	defer client.Close()
	b := &bench{Client: client, address: address, ref: ref, tag: namespace}
	for _, one := range checks {
		if err := one.report(b); err != nil {
			return err
		}
	}
	return nil
}

func (c check) report(b *bench) error {
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), b.tag), 60*time.Second)
	defer cancel()
	wrong := ""
	if err := c.run(ctx, b); err != nil {
		wrong = err.Error()
	}
	for len(b.later) > 0 {
		last := b.later[len(b.later)-1]
		b.later = b.later[:len(b.later)-1]
		last()
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]string{"check": c.name, "wrong": wrong})
}

// finally runs do when the check is over, last come first.
func (b *bench) finally(do func()) {
	b.later = append(b.later, do)
}

func expect(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}
