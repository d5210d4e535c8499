package leader

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

func election(client *fake.Clientset, following *atomic.Bool) Election {
	return Election{
		Client: client, Namespace: "d8-system", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		OnFollow:      func(string) { following.Store(true) },
		LeaseDuration: 2 * time.Second, RenewDeadline: time.Second, RetryPeriod: 100 * time.Millisecond,
	}
}

// replica runs an election whose leader works until its context ends.
type replica struct {
	stop             context.CancelFunc
	leads, following atomic.Bool
	result           chan error
}

func startReplica(t *testing.T, client *fake.Clientset, change ...func(*Election)) *replica {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	r := &replica{stop: stop, result: make(chan error, 1)}
	e := election(client, &r.following)
	for _, f := range change {
		f(&e)
	}
	go func() {
		r.result <- e.Run(ctx, func(ctx context.Context) error {
			r.leads.Store(true)
			<-ctx.Done()
			r.leads.Store(false)
			return nil
		})
	}()
	return r
}

const deadline = 10 * time.Second

// breakable is an API server that answers nothing about Leases while it is broken.
func breakable() (client *fake.Clientset, broken *atomic.Bool) {
	client, broken = fake.NewClientset(), &atomic.Bool{}
	client.PrependReactor("*", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
		return broken.Load(), nil, errors.New("the API server does not answer")
	})
	return client, broken
}

func TestOneReplicaLeadsAndTheOtherTakesOverAtOnceWhenItStops(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	first := startReplica(t, client)
	g.Eventually(first.leads.Load, deadline).Should(BeTrue())
	second := startReplica(t, client)
	g.Eventually(second.following.Load, deadline).Should(BeTrue())
	g.Expect(second.leads.Load()).To(BeFalse())

	first.stop()
	g.Eventually(first.result, deadline).Should(Receive(BeNil()))
	g.Expect(first.leads.Load()).To(BeFalse())
	g.Eventually(second.leads.Load, deadline).Should(BeTrue())

	second.stop()
	g.Eventually(second.result, deadline).Should(Receive(BeNil()))
	lease, err := client.CoordinationV1().Leases("d8-system").Get(context.Background(), leaseName, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*lease.Spec.HolderIdentity).To(BeEmpty(), "the Lease was given back")
}

// TestAReplicaThatIsStartedAgainLeadsAtOnce: its former process was killed, and so has not given the Lease back.
func TestAReplicaThatIsStartedAgainLeadsAtOnce(t *testing.T) {
	g := NewWithT(t)
	client, killed := breakable()
	as := func(identity string) func(*Election) {
		return func(e *Election) { e.Identity, e.LeaseDuration = identity, time.Hour }
	}
	before := startReplica(t, client, as("operator-1"))
	g.Eventually(before.leads.Load, deadline).Should(BeTrue())
	killed.Store(true)
	g.Eventually(before.result, deadline).Should(Receive(MatchError(ErrLost)))
	killed.Store(false)

	other := startReplica(t, client, as("operator-2"))
	g.Eventually(other.following.Load, deadline).Should(BeTrue())
	again := startReplica(t, client, as("operator-1"))
	g.Eventually(again.leads.Load, deadline).Should(BeTrue(), "the Lease is its own, and valid for an hour")
	g.Expect(other.leads.Load()).To(BeFalse())
}

func TestAFollowerStopsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	first := startReplica(t, client)
	g.Eventually(first.leads.Load, deadline).Should(BeTrue())
	second := startReplica(t, client)
	g.Eventually(second.following.Load, deadline).Should(BeTrue())
	second.stop()
	g.Eventually(second.result, deadline).Should(Receive(BeNil()))
	g.Expect(first.leads.Load()).To(BeTrue())
}

func TestALeaderThatCannotRenewItsLeaseEnds(t *testing.T) {
	g := NewWithT(t)
	client, broken := breakable()
	leader := startReplica(t, client)
	g.Eventually(leader.leads.Load, deadline).Should(BeTrue())
	broken.Store(true)
	g.Eventually(leader.result, deadline).Should(Receive(MatchError(ErrLost)))
	g.Eventually(leader.leads.Load, deadline).Should(BeFalse())
}

func TestTheErrorOfTheWorkEndsTheElection(t *testing.T) {
	g := NewWithT(t)
	broken := errors.New("broken")
	var following atomic.Bool
	err := election(fake.NewClientset(), &following).Run(context.Background(), func(context.Context) error { return broken })
	g.Expect(err).To(MatchError(broken))
}
