// Package leader lets one of several replicas work.
package leader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const leaseName = "istio-operator"

// ErrLost is returned when another replica took over, or this one could not
// renew its Lease in time. The process must end: it may not touch the cluster
// any more.
var ErrLost = errors.New("lost the leadership")

// Election of a leader with a Lease; the durations are client-go's usual ones.
type Election struct {
	Client    kubernetes.Interface
	Namespace string
	Logger    *slog.Logger
	// Identity is the same after a restart, and no other process has it at the same time: then the Lease is renewed at once,
	// where another identity would have to wait until it expires. Empty: one of this process alone.
	Identity string
	// OnFollow is called with the identity of a leader that is not this process.
	OnFollow func(identity string)
	// LeaseDuration, RenewDeadline, RetryPeriod: zero means 15 s, 10 s, 2 s.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// Run waits for the leadership and then calls lead, once. When ctx ends, lead
// finishes before the Lease is given back, so that two never work at a time.
// Run returns lead's error, or ErrLost, in which case lead's context is
// cancelled but lead may still run.
func (e Election) Run(ctx context.Context, lead func(context.Context) error) error {
	identity := e.Identity
	if identity == "" {
		hostname, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find an identity for the leader election: %w", err)
		}
		identity = hostname + "_" + string(uuid.NewUUID())
	}

	leading := make(chan struct{})
	electCtx, giveBack := context.WithCancel(context.WithoutCancel(ctx))
	defer giveBack()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: e.Namespace, Name: leaseName},
			Client:     e.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		LeaseDuration:   cmp.Or(e.LeaseDuration, 15*time.Second),
		RenewDeadline:   cmp.Or(e.RenewDeadline, 10*time.Second),
		RetryPeriod:     cmp.Or(e.RetryPeriod, 2*time.Second),
		ReleaseOnCancel: true,
		Name:            leaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(leading) },
			OnStoppedLeading: func() {},
			OnNewLeader: func(leader string) {
				if leader != identity && leader != "" {
					e.Logger.Info("another replica leads, waiting", slog.String("leader", leader))
					e.OnFollow(leader)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("set up the leader election: %w", err)
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(electCtx)
	}()
	release := func() {
		giveBack()
		<-ended
	}

	select {
	case <-ctx.Done():
		release()
		return nil
	case <-leading:
	}
	e.Logger.Info("leading", slog.String("identity", identity))

	workCtx, stopWork := context.WithCancel(ctx)
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- lead(workCtx) }()
	select {
	case err := <-worked:
		release()
		return err
	case <-ended:
		return ErrLost
	}
}
