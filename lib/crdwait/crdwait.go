// Package crdwait waits until the API server serves new kinds.
package crdwait

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

const interval = 50 * time.Millisecond

// Get returns the CustomResourceDefinition of that name.
type Get func(ctx context.Context, name string) (*apiextensionsv1.CustomResourceDefinition, error)

// Established waits until the API server serves the CustomResourceDefinitions of these names, for timeout at most; it
// takes some milliseconds usually. It repeats a request that fails, as the API server is busy with new CRDs.
func Established(ctx context.Context, get Get, timeout time.Duration, names ...string) error {
	var lastError error
	waitingFor := slices.Clone(names)
	err := wait.PollUntilContextTimeout(ctx, interval, timeout, true, func(ctx context.Context) (bool, error) {
		lastError = nil
		waitingFor = slices.DeleteFunc(waitingFor, func(name string) bool {
			crd, err := get(ctx, name)
			if err != nil {
				lastError = err
				return false
			}
			return apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established)
		})
		return len(waitingFor) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the API server serves %s: %w", strings.Join(waitingFor, ", "), errors.Join(err, lastError))
	}
	return nil
}
