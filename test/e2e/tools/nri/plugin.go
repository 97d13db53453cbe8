// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"sync"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

type plugin struct {
	stub    stub.Stub
	events  api.EventMask
	mutex   sync.Mutex
	acts    map[string]*act
	telling sync.Mutex
	out     io.Writer
}

type line map[string]any

func (p *plugin) tell(it line) {
	text, err := json.Marshal(it)
	if err != nil {
		panic(err)
	}
	p.telling.Lock()
	defer p.telling.Unlock()
	_, _ = p.out.Write(append(text, '\n'))
}

func (p *plugin) told(call string, messages map[string]proto.Message) {
	it := line{"call": call}
	for name, message := range messages {
		text, err := protojson.Marshal(message)
		if err != nil {
			panic(err)
		}
		it[name] = json.RawMessage(text)
	}
	p.tell(it)
}

func (p *plugin) of(call string, pod *api.PodSandbox) error {
	p.told(call, map[string]proto.Message{"pod": pod})
	_, _, err := p.take(call, pod).do()
	return err
}

func (p *plugin) ofContainer(call string, pod *api.PodSandbox, container *api.Container) error {
	p.told(call, map[string]proto.Message{"pod": pod, "container": container})
	_, _, err := p.take(call, pod).do()
	return err
}

// Configure takes a launched plugin's configuration: where to tell the calls, and what to do at which.
func (p *plugin) Configure(_ context.Context, config, runtime, version string) (stub.EventMask, error) {
	if config != "" {
		if err := p.configure(config); err != nil {
			return 0, err
		}
	}
	p.tell(line{"call": "Configure", "config": config, "runtime": runtime, "version": version,
		"nri": p.stub.RuntimeNRIVersion(), "requestTimeout": p.stub.RequestTimeout().Milliseconds(),
		"registrationTimeout": p.stub.RegistrationTimeout().Milliseconds()})
	_, _, err := p.take("Configure", nil).do()
	return p.events, err
}

func (p *plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	it := line{"call": "Synchronize"}
	podIDs, containerIDs := []string{}, []string{}
	for _, one := range pods {
		podIDs = append(podIDs, one.Id)
	}
	for _, one := range containers {
		containerIDs = append(containerIDs, one.Id)
	}
	it["pods"], it["containers"] = podIDs, containerIDs
	p.tell(it)
	_, updates, err := p.take("Synchronize", nil).do()
	return updates, err
}

func (p *plugin) RunPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return p.of("RunPodSandbox", pod)
}

func (p *plugin) UpdatePodSandbox(_ context.Context, pod *api.PodSandbox, overhead, resources *api.LinuxResources) error {
	p.told("UpdatePodSandbox", map[string]proto.Message{"pod": pod, "overhead": overhead, "resources": resources})
	_, _, err := p.take("UpdatePodSandbox", pod).do()
	return err
}

func (p *plugin) PostUpdatePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return p.of("PostUpdatePodSandbox", pod)
}

func (p *plugin) StopPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return p.of("StopPodSandbox", pod)
}

func (p *plugin) RemovePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return p.of("RemovePodSandbox", pod)
}

func (p *plugin) CreateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	p.told("CreateContainer", map[string]proto.Message{"pod": pod, "container": container})
	return p.take("CreateContainer", pod).do()
}

func (p *plugin) PostCreateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.ofContainer("PostCreateContainer", pod, container)
}

func (p *plugin) StartContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.ofContainer("StartContainer", pod, container)
}

func (p *plugin) PostStartContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.ofContainer("PostStartContainer", pod, container)
}

func (p *plugin) UpdateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container, resources *api.LinuxResources) ([]*api.ContainerUpdate, error) {
	p.told("UpdateContainer", map[string]proto.Message{"pod": pod, "container": container, "resources": resources})
	_, updates, err := p.take("UpdateContainer", pod).do()
	return updates, err
}

func (p *plugin) PostUpdateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.ofContainer("PostUpdateContainer", pod, container)
}

func (p *plugin) StopContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) ([]*api.ContainerUpdate, error) {
	p.told("StopContainer", map[string]proto.Message{"pod": pod, "container": container})
	_, updates, err := p.take("StopContainer", pod).do()
	return updates, err
}

func (p *plugin) RemoveContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.ofContainer("RemoveContainer", pod, container)
}

func (p *plugin) ValidateContainerAdjustment(_ context.Context, request *api.ValidateContainerAdjustmentRequest) error {
	p.told("ValidateContainerAdjustment", map[string]proto.Message{"request": request})
	_, _, err := p.take("ValidateContainerAdjustment", request.Pod).do()
	return err
}

// configure reads {"report": FILE, "on": {CALL: ACT}}.
func (p *plugin) configure(text string) error {
	var config struct {
		Report string          `json:"report"`
		On     map[string]*act `json:"on"`
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if config.On != nil {
		p.acts = config.On
	}
	if config.Report == "" {
		return nil
	}
	file, err := openReport(config.Report)
	if err == nil {
		p.telling.Lock()
		p.out = file
		p.telling.Unlock()
	}
	return err
}

func openReport(path string) (io.Writer, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}
