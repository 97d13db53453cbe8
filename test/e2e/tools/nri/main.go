// SPDX-License-Identifier: Apache-2.0

// nriplugin is a plugin of NRI on the module's own stub. It takes part in every call, tells each on its standard
// output as a line of JSON, and does with it what it was told to: see act.go. What its stdin tells it is in command.go.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

func main() {
	name := flag.String("name", "", "name to register by; a launched plugin has that of its file")
	index := flag.String("idx", "", "two digits")
	socket := flag.String("socket", "", "the runtime's socket")
	events := flag.String("events", "", "comma-separated, or all; all but validation when left out")
	acts := flag.String("on", "{}", "what to do at which call, as JSON")
	failRequest := flag.Bool("fail-request", false, "ask for requests to fail when this plugin does")
	flag.Parse()
	if err := work(*name, *index, *socket, *events, *acts, *failRequest); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(name, index, socket, events, acts string, failRequest bool) error {
	p := &plugin{out: os.Stdout}
	if err := json.Unmarshal([]byte(acts), &p.acts); err != nil {
		return err
	}
	p.events = api.ValidEvents
	if events == "" {
		p.events.Clear(api.Event_VALIDATE_CONTAINER_ADJUSTMENT)
	} else {
		mask, err := api.ParseEventMask(events)
		if err != nil {
			return err
		}
		p.events = mask
	}
	closed := make(chan struct{})
	options := []stub.Option{stub.WithOnClose(func() { close(closed) })}
	if name != "" {
		options = append(options, stub.WithPluginName(name))
	}
	if index != "" {
		options = append(options, stub.WithPluginIdx(index))
	}
	if socket != "" {
		options = append(options, stub.WithSocketPath(socket))
	}
	if failRequest {
		options = append(options, stub.WithFailurePolicy(&api.FailurePolicy{FailRequest: true}))
	}
	var err error
	if p.stub, err = stub.New(p, options...); err != nil {
		return err
	}
	if err := p.stub.Start(context.Background()); err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	// Launched by the runtime it has no stdin to speak of, and stays.
	go p.obey(os.Stdin)
	select {
	case <-closed:
		p.tell(line{"call": "closed"})
	case <-ended:
		p.stub.Stop()
	}
	return nil
}
