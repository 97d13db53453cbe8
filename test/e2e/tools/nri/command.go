// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
)

// command is a line of stdin.
type command struct {
	// Takes the place of what was to be done at these calls.
	On map[string]*act `json:"on"`
	// Asks the runtime for these updates: `times` in each of `lanes` at once, once when they are left out.
	Update []json.RawMessage `json:"update"`
	Times  int               `json:"times"`
	Lanes  int               `json:"lanes"`
	// Each command is answered by a line with this name.
	Name string `json:"name"`
}

// obey reads commands and answers each.
func (p *plugin) obey(in io.Reader) {
	lines := bufio.NewReader(in)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked command
		if err := json.Unmarshal(text, &asked); err != nil {
			p.tell(line{"answer": "", "error": err.Error()})
			continue
		}
		if asked.On != nil {
			p.mutex.Lock()
			p.acts = asked.On
			p.mutex.Unlock()
			p.tell(line{"answer": asked.Name})
			continue
		}
		go p.update(asked)
	}
}

func (p *plugin) update(asked command) {
	updates, err := updatesOf(asked.Update)
	if err != nil {
		p.tell(line{"answer": asked.Name, "error": err.Error()})
		return
	}
	var done, failed atomic.Int64
	var last atomic.Value
	last.Store("")
	var lanes sync.WaitGroup
	for range max(asked.Lanes, 1) {
		lanes.Go(func() {
			for range max(asked.Times, 1) {
				refused, err := p.stub.UpdateContainers(updates)
				if err != nil {
					last.Store(err.Error())
					failed.Add(1)
				} else if len(refused) > 0 {
					failed.Add(1)
				} else {
					done.Add(1)
				}
			}
		})
	}
	lanes.Wait()
	p.tell(line{"answer": asked.Name, "done": done.Load(), "failed": failed.Load(), "error": last.Load()})
}
