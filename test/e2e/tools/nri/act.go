// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/nri/pkg/api"
	"google.golang.org/protobuf/encoding/protojson"
)

// act is what to do at a call, in the order of its fields. Adjustments and updates are protobuf's JSON.
type act struct {
	// Pods whose names begin so; all when empty.
	Pod string `json:"pod"`
	// How often; always when 0.
	Times   int               `json:"times"`
	DelayMs int               `json:"delayMs"`
	Hang    bool              `json:"hang"`
	Die     bool              `json:"die"`
	Error   string            `json:"error"`
	Adjust  json.RawMessage   `json:"adjust"`
	Updates []json.RawMessage `json:"updates"`
}

// take finds what is to be done at this call, and counts it as done.
func (p *plugin) take(call string, pod *api.PodSandbox) *act {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	found := p.acts[call]
	if found == nil || !strings.HasPrefix(pod.GetName(), found.Pod) {
		return nil
	}
	if found.Times > 0 {
		if found.Times--; found.Times == 0 {
			delete(p.acts, call)
		}
	}
	return found
}

// do does it. The stub serves other calls meanwhile.
func (a *act) do() (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	if a == nil {
		return nil, nil, nil
	}
	time.Sleep(time.Duration(a.DelayMs) * time.Millisecond)
	if a.Hang {
		select {}
	}
	if a.Die {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {}
	}
	if a.Error != "" {
		return nil, nil, errors.New(a.Error)
	}
	var adjust *api.ContainerAdjustment
	if len(a.Adjust) > 0 {
		adjust = &api.ContainerAdjustment{}
		if err := protojson.Unmarshal(a.Adjust, adjust); err != nil {
			return nil, nil, err
		}
	}
	updates, err := updatesOf(a.Updates)
	return adjust, updates, err
}

func updatesOf(texts []json.RawMessage) ([]*api.ContainerUpdate, error) {
	updates := []*api.ContainerUpdate{}
	for _, text := range texts {
		update := &api.ContainerUpdate{}
		if err := protojson.Unmarshal(text, update); err != nil {
			return nil, err
		}
		updates = append(updates, update)
	}
	return updates, nil
}
