// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools names what critest's test binary imports, so that `go mod tidy` keeps it in go.mod:
// critest is built with `go test -c`, which a tool directive cannot say.
package tools

import (
	_ "sigs.k8s.io/cri-tools/pkg/benchmark"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)
