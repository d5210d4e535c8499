package syncer_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
)

// held is a request that waits for its answer.
type held struct{ arrived, answer chan struct{} }

// hold the first request of a verb for ServiceEntries until it is to be answered; those after it are not held.
func (w world) hold(verb string, answer func() (runtime.Object, error)) held {
	h := held{make(chan struct{}), make(chan struct{})}
	var count atomic.Int32
	w.client.PrependReactor(verb, "serviceentries", func(k8stesting.Action) (bool, runtime.Object, error) {
		if count.Add(1) > 1 {
			return false, nil, nil
		}
		close(h.arrived)
		<-h.answer
		object, err := answer()
		return true, object, err
	})
	return h
}

func TestALateAnswerAboutADeletedNamespaceDoesNotPauseTheSyncer(t *testing.T) {
	for name, since := range map[string]func(w world){
		"it is still wanted":                  func(w world) { w.want(peer("b", "api")) },
		"there was a pause, and it has ended": func(w world) { w.syncer.Pause(); w.want(peer("b", "api")) },
		"more is wanted now":                  func(w world) { w.want(peer("b", "api", "db")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := given(t)
			request := w.hold("create", func() (runtime.Object, error) {
				err := apierrors.NewForbidden(serviceEntries.GroupResource(), "x", errors.New("is being terminated"))
				err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
				return nil, err
			})
			w.want(peer("b", "api"))
			w.Eventually(request.arrived).Should(BeClosed())
			since(w)
			close(request.answer)
			w.Eventually(w.names).Should(ContainElement("api.shop.b"))
			w.Expect(w.log.infos()).To(BeEmpty())
			w.Eventually(func() int { return w.syncer.Problems().Unwritten }).Should(BeZero())
		})
	}
}

func TestANameConflictOfAnObjectThatIsNoLongerWantedIsNotReported(t *testing.T) {
	w := given(t)
	person := federation.Objects([]federation.Peer{peer("b", "api")})[0].Unstructured()
	person.SetLabels(nil)
	w.client.PrependReactor("create", "serviceentries", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewAlreadyExists(serviceEntries.GroupResource(), "api.shop.b")
	})
	request := w.hold("get", func() (runtime.Object, error) { return person, nil })
	w.want(peer("b", "api"))
	w.Eventually(request.arrived).Should(BeClosed())
	w.want()
	close(request.answer)
	w.Consistently(func() []federation.Object { return w.syncer.Problems().NameConflicts }, 300*time.Millisecond).Should(BeEmpty())
}

// reject every ServiceEntry, and count the attempts.
func (w world) reject() *atomic.Int32 {
	attempts := &atomic.Int32{}
	w.client.PrependReactor("create", "serviceentries", func(k8stesting.Action) (bool, runtime.Object, error) {
		attempts.Add(1)
		return true, nil, errors.New("denied by a webhook")
	})
	return attempts
}

func TestAnObjectThatIsRejectedRepeatedlyIsLoggedOnce(t *testing.T) {
	w := given(t)
	attempts := w.reject()
	w.want(peer("b", "api"))
	w.Eventually(attempts.Load).Should(BeNumerically(">=", 4))
	w.Expect(w.log.all()).To(ConsistOf(ContainSubstring("denied by a webhook")))
	w.Expect(w.syncer.Problems().Unwritten).To(Equal(1), "the metric shows that it continues")
}

func TestCompareDoesNotRetryObjectsBeforeTheirNextAttempt(t *testing.T) {
	w := given(t)
	attempts := w.reject()
	w.want(peer("b", "api"))
	w.Eventually(attempts.Load).Should(BeNumerically(">=", 4))
	before := attempts.Load()
	compared := 0
	w.Eventually(func() int { w.syncer.Compare(); compared++; return compared }).Should(Equal(40))
	w.Expect(attempts.Load()).To(BeNumerically("<=", before+2), "its own next attempt may have come in between")
}
