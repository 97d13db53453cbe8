// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// task makes a container of the image, and its task; both go when the check is over.
func (b *bench) task(
	ctx context.Context, name string, streams cio.Creator, args ...string,
) (containerd.Container, containerd.Task, error) {
	id := b.tag + "-" + name
	container, err := b.NewContainer(ctx, id,
		containerd.WithNewSnapshot(id, b.image),
		containerd.WithNewSpec(oci.WithImageConfig(b.image), oci.WithProcessArgs(args...)),
	)
	if err != nil {
		return nil, nil, err
	}
	b.finally(func() {
		// The check's own time may be up.
		ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), b.tag), 20*time.Second)
		defer cancel()
		if task, err := container.Task(ctx, nil); err == nil {
			task.Delete(ctx, containerd.WithProcessKill)
		}
		container.Delete(ctx, containerd.WithSnapshotCleanup)
	})
	task, err := container.NewTask(ctx, streams)
	return container, task, err
}

// startAndWait waits before it starts, so that no end is missed.
func startAndWait(ctx context.Context, task containerd.Task) (<-chan containerd.ExitStatus, error) {
	exit, err := task.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return exit, task.Start(ctx)
}

// collect waits for a garbage collection.
func (b *bench) collect(ctx context.Context) error {
	lease, err := b.LeasesService().Create(ctx, leases.WithRandomID())
	if err != nil {
		return err
	}
	return b.LeasesService().Delete(ctx, lease, leases.SynchronousDelete)
}

func descriptor(body []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(body), Size: int64(len(body))}
}
