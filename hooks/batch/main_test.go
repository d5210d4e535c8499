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
	g.Expect(warned.Valid).To(BeTrue(), "an expired CA does not prevent other changes")
	g.Expect(warned.Warnings).To(ConsistOf(ContainSubstring("expired")))

	rejected := judge(append(expired, errors.New("alliance: wrong")))
	g.Expect(rejected.Valid).To(BeFalse())
	g.Expect(rejected.Message).To(Equal("alliance: wrong"))
}
