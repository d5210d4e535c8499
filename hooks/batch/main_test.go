package main

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/settings"
)

func TestJudge(t *testing.T) {
	g := NewWithT(t)
	bundle, err := ca.Generate("cluster-a.local")
	g.Expect(err).NotTo(HaveOccurred())
	expired := settings.Check(map[string]any{"ca": map[string]any{"cert": bundle.Cert, "key": bundle.Key}}, nil, time.Now().AddDate(20, 0, 0))

	g.Expect(judge(nil).Valid).To(BeTrue())

	warned := judge(expired)
	g.Expect(warned.Valid).To(BeTrue(), "an expired CA does not stand in the way of other changes")
	g.Expect(warned.Warnings).To(ConsistOf(ContainSubstring("expired")))

	refused := judge(append(expired, errors.New("alliance: wrong")))
	g.Expect(refused.Valid).To(BeFalse())
	g.Expect(refused.Message).To(Equal("alliance: wrong"))
}
