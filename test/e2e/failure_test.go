//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// explained are the operators that log what they did if the test fails.
var explained oncePerTest

// explainFailure logs, if the test fails, when Helm released the module and what the operator did and complained of
// meanwhile: what waits for a release in vain shows neither in its own message.
func (c *cluster) explainFailure(t *testing.T) {
	t.Helper()
	if !explained.first(t, c) {
		return
	}
	began := time.Now()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: releases of Helm: %s\noperator:\n%s", c.name, c.releasesSince(began), c.operatorSince(began))
		}
	})
}

// releasesSince returns the times of the module's releases of Helm, the oldest first.
func (c *cluster) releasesSince(began time.Time) string {
	list, err := c.typed.CoreV1().Secrets("").List(context.Background(), metav1.ListOptions{LabelSelector: "owner=helm,name=" + suite.module})
	if err != nil {
		return err.Error()
	}
	slices.SortFunc(list.Items, func(a, b corev1.Secret) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var releases []string
	for _, secret := range list.Items {
		if secret.CreationTimestamp.Time.Before(began.Truncate(time.Second)) {
			continue
		}
		releases = append(releases, fmt.Sprintf("%s %s (%s)", secret.CreationTimestamp.UTC().Format(time.TimeOnly), secret.Labels["version"], secret.Labels["status"]))
	}
	return cmp.Or(strings.Join(releases, ", "), "none")
}

// operatorSince returns the last lines of its log that tell of the module's runs, or that are more than information.
func (c *cluster) operatorSince(began time.Time) string {
	const most = 40
	pods, err := c.pods(operator)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, pod := range pods {
		if status := containerStatus(&pod, operator.container); status != nil && status.RestartCount > 0 {
			lines = append(lines, fmt.Sprintf("%s has been started again %d times, its last end: %v", pod.Name, status.RestartCount, status.LastTerminationState.Terminated))
		}
		log, err := c.typed.CoreV1().Pods(operator.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
			Container: operator.container, SinceTime: &metav1.Time{Time: began},
		}).DoRaw(context.Background())
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(string(log)) {
			if text := worthReading(line); text != "" {
				lines = append(lines, text)
			}
		}
	}
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// worthReading returns what of the operator's line is worth reading beside a failure, empty if nothing is.
func worthReading(line string) string {
	var entry struct{ Level, Time, Msg, Error, Hook, Phase string }
	if json.Unmarshal([]byte(line), &entry) != nil {
		return ""
	}
	if entry.Level == "info" && !strings.Contains(entry.Msg, "ModuleRun") && !strings.Contains(entry.Msg, "elm ") {
		return ""
	}
	_, clock, _ := strings.Cut(strings.TrimSuffix(entry.Time, "Z"), "T")
	return strings.Join(strings.Fields(strings.Join([]string{clock, entry.Level, entry.Hook, entry.Phase, entry.Msg, entry.Error}, " ")), " ")
}
