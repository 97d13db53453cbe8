// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/events"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var checks = []check{
	{"it serves, and says what it is", serves},
	{"a namespace that nobody made has labels to ask for", freshNamespace},
	{"pull from a registry, unpack", pull},
	{"run to the end: output, exit code, delete", runToEnd},
	{"what runs is not deleted, and killed with 137", killAndDelete},
	{"exec: standard input, output, exit code", execute},
	{"attach from another client", attach},
	{"pause, resume, pids, metrics, update", govern},
	{"events of a life, in order", lifeEvents},
	{"checkpoint, or a refusal that leaves the task running", checkpoint},
	{"what a lease holds stays until it goes", leaseAndGarbage},
	{"content: abort of what is written, reads past the end, exact times", contents},
	{"the runtime tells of itself", runtimeInfo},
	{"a namespace goes when nothing is in it", endNamespace},
}

func serves(ctx context.Context, b *bench) error {
	serving, err := b.IsServing(ctx)
	if err != nil || !serving {
		return fmt.Errorf("serving %v: %w", serving, err)
	}
	version, err := b.Version(ctx)
	if err != nil {
		return err
	}
	return expect(version.Version != "", "no version")
}

func freshNamespace(ctx context.Context, b *bench) error {
	// The newer of two namespaces is sent first, and counts.
	ctx = namespaces.WithNamespace(ctx, b.tag+"-fresh")
	store := b.NamespaceService()
	labels, err := store.Labels(ctx, b.tag+"-fresh")
	if err != nil || len(labels) != 0 {
		return fmt.Errorf("labels %v: %w", labels, err)
	}
	if err := store.SetLabel(ctx, b.tag+"-fresh", "a", "b"); err != nil {
		return err
	}
	all, err := b.ListImages(ctx)
	if err != nil || len(all) != 0 {
		return fmt.Errorf("images %v: %w", all, err)
	}
	return store.Delete(ctx, b.tag+"-fresh")
}

func pull(ctx context.Context, b *bench) error {
	image, err := b.Pull(ctx, b.ref, containerd.WithPullUnpack)
	if err != nil {
		return err
	}
	b.image = image
	unpacked, err := image.IsUnpacked(ctx, "overlayfs")
	if err != nil {
		return err
	}
	usage, err := image.Usage(ctx, containerd.WithSnapshotUsage())
	if err != nil {
		return err
	}
	return expect(unpacked && usage > 0, "unpacked %v, %d bytes", unpacked, usage)
}

func runToEnd(ctx context.Context, b *bench) error {
	var out bytes.Buffer
	streams := cio.NewCreator(cio.WithStreams(nil, &out, io.Discard))
	_, task, err := b.task(ctx, "end", streams, "sh", "-c", "echo said; exit 7")
	if err != nil {
		return err
	}
	exit, err := startAndWait(ctx, task)
	if err != nil {
		return err
	}
	ended := <-exit
	code, at, err := ended.Result()
	if err != nil {
		return err
	}
	deleted, err := task.Delete(ctx)
	if err != nil {
		return err
	}
	since := time.Since(at)
	return expect(code == 7 && deleted.ExitCode() == 7 && out.String() == "said\n" && since >= 0 && since < time.Minute,
		"exit %d at %v, deleted with %d, output %q", code, at, deleted.ExitCode(), out.String())
}

func killAndDelete(ctx context.Context, b *bench) error {
	_, task, err := b.task(ctx, "kill", cio.NullIO, "sleep", "1000")
	if err != nil {
		return err
	}
	exit, err := startAndWait(ctx, task)
	if err != nil {
		return err
	}
	if _, err := task.Delete(ctx); !errdefs.IsFailedPrecondition(err) {
		return fmt.Errorf("delete of what runs: %v", err)
	}
	if err := task.Kill(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	ended := <-exit
	if err := expect(ended.ExitCode() == 137, "exit %d", ended.ExitCode()); err != nil {
		return err
	}
	if err := task.Kill(ctx, syscall.SIGKILL); !errdefs.IsNotFound(err) {
		return fmt.Errorf("kill of what has ended: %v", err)
	}
	if _, err := task.Delete(ctx); err != nil {
		return err
	}
	_, err = task.Status(ctx)
	return expect(errdefs.IsNotFound(err), "status of what is deleted: %v", err)
}

func execute(ctx context.Context, b *bench) error {
	container, task, err := b.task(ctx, "exec", cio.NullIO, "sleep", "1000")
	if err != nil {
		return err
	}
	if _, err := startAndWait(ctx, task); err != nil {
		return err
	}
	spec, err := container.Spec(ctx)
	if err != nil {
		return err
	}
	process := *spec.Process
	process.Args = []string{"sh", "-c", "cat; exit 5"}
	var out bytes.Buffer
	streams := cio.NewCreator(cio.WithStreams(strings.NewReader("fed"), &out, io.Discard))
	run, err := task.Exec(ctx, "e1", &process, streams)
	if err != nil {
		return err
	}
	if _, err := task.Exec(ctx, "e1", &process, cio.NullIO); !errdefs.IsAlreadyExists(err) {
		return fmt.Errorf("an exec id twice: %v", err)
	}
	exit, err := run.Wait(ctx)
	if err != nil {
		return err
	}
	if err := run.Start(ctx); err != nil {
		return err
	}
	if err := run.CloseIO(ctx, containerd.WithStdinCloser); err != nil {
		return err
	}
	ended := <-exit
	if _, err := run.Delete(ctx); err != nil {
		return err
	}
	_, err = task.LoadProcess(ctx, "e1", nil)
	return expect(ended.ExitCode() == 5 && out.String() == "fed" && errdefs.IsNotFound(err),
		"exit %d, output %q, after delete %v", ended.ExitCode(), out.String(), err)
}

func attach(ctx context.Context, b *bench) error {
	input, feed := io.Pipe()
	streams := cio.NewCreator(cio.WithStreams(input, io.Discard, io.Discard))
	container, task, err := b.task(ctx, "attach", streams, "cat")
	if err != nil {
		return err
	}
	exit, err := startAndWait(ctx, task)
	if err != nil {
		return err
	}
	task.IO().Cancel()
	other, err := containerd.New(b.address, containerd.WithDefaultNamespace(b.tag))
	if err != nil {
		return err
	}
	defer other.Close()
	known, err := other.LoadContainer(ctx, container.ID())
	if err != nil {
		return err
	}
	var out bytes.Buffer
	again, err := known.Task(ctx, cio.NewAttach(cio.WithStreams(strings.NewReader("second"), &out, io.Discard)))
	if err != nil {
		return err
	}
	feed.Close()
	// What was fed must be through before the end is announced.
	for deadline := time.Now().Add(10 * time.Second); out.Len() == 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := again.CloseIO(ctx, containerd.WithStdinCloser); err != nil {
		return err
	}
	ended := <-exit
	_, err = again.Delete(ctx)
	return errors.Join(err, expect(ended.ExitCode() == 0 && out.String() == "second",
		"exit %d, output %q", ended.ExitCode(), out.String()))
}

func govern(ctx context.Context, b *bench) error {
	_, task, err := b.task(ctx, "govern", cio.NullIO, "sleep", "1000")
	if err != nil {
		return err
	}
	if _, err := startAndWait(ctx, task); err != nil {
		return err
	}
	states := []containerd.ProcessStatus{}
	note := func(err error) error {
		if err != nil {
			return err
		}
		status, err := task.Status(ctx)
		states = append(states, status.Status)
		return err
	}
	if err := errors.Join(note(task.Pause(ctx)), note(task.Resume(ctx))); err != nil {
		return err
	}
	pids, err := task.Pids(ctx)
	if err != nil {
		return err
	}
	metrics, err := task.Metrics(ctx)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(metrics.Data.TypeUrl, "io.containerd.cgroups.v") {
		return fmt.Errorf("metrics are %s", metrics.Data.TypeUrl)
	}
	limit := int64(64 * 1024 * 1024)
	memory := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	if err := task.Update(ctx, containerd.WithResources(memory)); err != nil {
		return err
	}
	return expect(len(pids) == 1 && pids[0].Pid == task.Pid() &&
		fmt.Sprint(states) == fmt.Sprint([]containerd.ProcessStatus{containerd.Paused, containerd.Running}),
		"pids %v of %d, states %v", pids, task.Pid(), states)
}

func lifeEvents(ctx context.Context, b *bench) error {
	hearing, cancel := context.WithCancel(ctx)
	defer cancel()
	heard, failed := b.Subscribe(hearing, "namespace=="+b.tag+",topic~=^/tasks/")
	_, task, err := b.task(ctx, "events", cio.NullIO, "true")
	if err != nil {
		return err
	}
	exit, err := startAndWait(ctx, task)
	if err != nil {
		return err
	}
	<-exit
	if _, err := task.Delete(ctx); err != nil {
		return err
	}
	topics := []string{}
	for len(topics) < 4 {
		select {
		case one := <-heard:
			topics = append(topics, one.Topic)
			event, err := typeurl.UnmarshalAny(one.Event)
			if err != nil {
				return err
			}
			if exit, ok := event.(*events.TaskExit); ok && exit.Pid != task.Pid() {
				return fmt.Errorf("exit of %d, the task was %d", exit.Pid, task.Pid())
			}
		case err := <-failed:
			return fmt.Errorf("after %v: %w", topics, err)
		case <-ctx.Done():
			return fmt.Errorf("only %v", topics)
		}
	}
	return expect(strings.Join(topics, " ") == "/tasks/create /tasks/start /tasks/exit /tasks/delete", "%v", topics)
}

func checkpoint(ctx context.Context, b *bench) error {
	_, task, err := b.task(ctx, "checkpoint", cio.NullIO, "sleep", "1000")
	if err != nil {
		return err
	}
	if _, err := startAndWait(ctx, task); err != nil {
		return err
	}
	image, err := task.Checkpoint(ctx, containerd.WithCheckpointName(b.tag+"/checkpoint:1"))
	switch {
	case err == nil:
		if err := b.ImageService().Delete(ctx, image.Name(), images.SynchronousDelete()); err != nil {
			return err
		}
	case !errdefs.IsFailedPrecondition(err):
		return err
	}
	status, err := task.Status(ctx)
	if err != nil {
		return err
	}
	return expect(status.Status == containerd.Running, "afterwards %v", status.Status)
}

func leaseAndGarbage(ctx context.Context, b *bench) error {
	service := b.LeasesService()
	lease, err := service.Create(ctx, leases.WithRandomID(), leases.WithExpiration(time.Hour))
	if err != nil {
		return err
	}
	under := leases.WithLease(ctx, lease.ID)
	body := []byte("held by a lease " + b.tag)
	store := b.ContentStore()
	dgst := digest.FromBytes(body)
	if err := content.WriteBlob(under, store, "leased", bytes.NewReader(body), descriptor(body)); err != nil {
		return err
	}
	// A deletion of anything starts a collection, which must leave the blob.
	if err := b.collect(ctx); err != nil {
		return err
	}
	if _, err := store.Info(ctx, dgst); err != nil {
		return err
	}
	if err := service.Delete(ctx, lease, leases.SynchronousDelete); err != nil {
		return err
	}
	// Also to whom the lease is a thing of the past.
	_, err = store.Info(under, dgst)
	if !errdefs.IsNotFound(err) {
		return fmt.Errorf("without its lease: %v", err)
	}
	_, err = store.Info(under, b.image.Target().Digest)
	return err
}

func contents(ctx context.Context, b *bench) error {
	// What nothing refers to goes with the next collection, which an earlier check may have asked for.
	ctx, done, err := b.WithLease(ctx)
	if err != nil {
		return err
	}
	defer done(ctx)
	store := b.ContentStore()
	body := []byte("some content " + b.tag)
	before := time.Now()
	writer, err := content.OpenWriter(ctx, store, content.WithRef("slow"))
	if err != nil {
		return err
	}
	if _, err := writer.Write(body); err != nil {
		return err
	}
	status, err := writer.Status()
	if err != nil {
		return err
	}
	if status.UpdatedAt.Before(before) || status.UpdatedAt.After(time.Now()) {
		return fmt.Errorf("written at %v, it began at %v", status.UpdatedAt, before)
	}
	if err := store.Abort(ctx, "slow"); err != nil {
		return err
	}
	writer.Close()
	if err := content.WriteBlob(ctx, store, "whole", bytes.NewReader(body), descriptor(body)); err != nil {
		return err
	}
	reader, err := store.ReaderAt(ctx, descriptor(body))
	if err != nil {
		return err
	}
	defer reader.Close()
	read, err := io.ReadAll(io.NewSectionReader(reader, 5, 1000))
	if err != nil {
		return err
	}
	if err := expect(bytes.Equal(read, body[5:]), "read %q", read); err != nil {
		return err
	}
	return store.Delete(ctx, digest.FromBytes(body))
}

func runtimeInfo(ctx context.Context, b *bench) error {
	info, err := b.RuntimeInfo(ctx, "", nil)
	if err != nil {
		return err
	}
	return expect(info.Name == "io.containerd.runc.v2" && info.Features != nil, "%+v", info)
}

func endNamespace(ctx context.Context, b *bench) error {
	store := b.NamespaceService()
	if err := store.Delete(ctx, b.tag); !errdefs.IsFailedPrecondition(err) {
		return fmt.Errorf("delete of a namespace with an image: %v", err)
	}
	if err := b.ImageService().Delete(ctx, b.ref, images.SynchronousDelete()); err != nil {
		return err
	}
	left := 0
	count := func(content.Info) error { left++; return nil }
	if err := b.ContentStore().Walk(ctx, count); err != nil {
		return err
	}
	if err := expect(left == 0, "%d blobs are left", left); err != nil {
		return err
	}
	return store.Delete(ctx, b.tag)
}
