package demo

import (
	"context"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/probe"
	"github.com/deckhouse-mesh/istio/lib/await"
)

// multicluster shows a Service whose Pods are in both clusters, and then in one only.
func (s *stage) multicluster(ctx context.Context) error {
	if err := s.start(ctx, []string{"web", "client"}, []string{"web"}); err != nil {
		return err
	}
	calls, stop := startCalls(ctx, &s.consumer, s.url())
	defer stop()
	s.print("")
	s.print("%s: the client calls %s every 10 ms; the Service has a Pod in each cluster", s.consumer.Name, s.url())
	for _, in := range []*cluster{&s.consumer, &s.publisher} {
		call, err := calls.await(ctx, time.Time{}, "wait for an answer of "+in.Name, of(in))
		if err != nil {
			return err
		}
		s.print("    answered by Pod %s of %s", call.Pod, call.Cluster)
		s.printIdentities(call)
		if err := checkIdentities(call, s.consumer.identity("client"), in.identity("web")); err != nil {
			return err
		}
	}
	if err := s.showFailover(ctx, calls); err != nil {
		return err
	}
	s.sayWhatToTryInOneMesh()
	return nil
}

// of is true for calls that a cluster's Pods answered.
func of(in *cluster) func(probe.Call) bool {
	return func(call probe.Call) bool { return call.Answered() && call.Cluster == in.Name }
}

// showFailover takes the consumer's own Pods away, and gives them back.
func (s *stage) showFailover(ctx context.Context, calls *calls) error {
	begun := time.Now()
	if err := s.consumer.scale(ctx, 0); err != nil {
		return err
	}
	s.print("")
	s.print("%s: $ kubectl -n %s scale deployment %s --replicas 0", s.consumer.Name, namespace, service)
	last, err := s.lastAnswer(ctx, calls, begun)
	if err != nil {
		return err
	}
	failures := 0
	for _, call := range calls.since(begun) {
		if !call.Answered() {
			failures++
		}
	}
	s.print("%s: all requests are answered by %s after %s; times that they failed in between: %d", s.consumer.Name, s.publisher.Name, seconds(last.Sub(begun)), failures)
	begun = time.Now()
	if err := s.consumer.scale(ctx, 1); err != nil {
		return err
	}
	s.print("%s: $ kubectl -n %s scale deployment %s --replicas 1", s.consumer.Name, namespace, service)
	call, err := calls.await(ctx, begun, "wait for an answer of "+s.consumer.Name, of(&s.consumer))
	if err != nil {
		return err
	}
	s.print("%s: its own Pod answers again after %s", s.consumer.Name, seconds(call.Ended.Sub(begun)))
	return nil
}

// lastAnswer is when the consumer's own Pods answered for the last time: only
// the publisher's answers followed for a while.
func (s *stage) lastAnswer(ctx context.Context, calls *calls, begun time.Time) (time.Time, error) {
	last := begun
	fromPublisher := of(&s.publisher)
	err := await.Until(ctx, timeout, func(context.Context) (bool, string, error) {
		ended := false
		for _, call := range calls.since(begun) {
			ended = fromPublisher(call)
			if !ended {
				last = call.Ended
			}
		}
		return ended && time.Since(last) > settled, "others than " + s.publisher.Name + " still answer", nil
	})
	return last, err
}
