package hooks

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/certs"
)

var _ = Describe("Hook ca", func() {
	inUse := func(r *run) ca.Bundle {
		return ca.Bundle{
			Cert: r.ValuesGet("istio.internal.ca.cert").String(), Key: r.ValuesGet("istio.internal.ca.key").String(),
			Chain: r.ValuesGet("istio.internal.ca.chain").String(), Root: r.ValuesGet("istio.internal.ca.root").String(),
		}
	}
	secretOf := func(namespace, name string, bundle ca.Bundle) string {
		return aSecret(namespace, name, map[string]string{
			"ca-cert.pem": bundle.Cert, "ca-key.pem": bundle.Key, "cert-chain.pem": bundle.Chain, "root-cert.pem": bundle.Root,
		})
	}
	generated := func() ca.Bundle {
		GinkgoHelper()
		bundle, err := ca.Generate("cluster-a.local")
		Expect(err).NotTo(HaveOccurred())
		return bundle
	}

	It("generates a CA once and stores it outside the module's namespace", func() {
		r := newRun(certificateAuthority(), federationSettings).given("").succeeds()
		first := inUse(r)
		Expect(first.Check(now)).To(Succeed())
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca")).NotTo(BeNil())

		r.succeeds()
		Expect(inUse(r)).To(Equal(first))
		Expect(r.PatchedOperations()).To(BeEmpty(), "an unchanged CA is not written again")
	})

	It("reports when the CA in use expires", func() {
		stored := generated()
		r := newRun(certificateAuthority(), federationSettings).given(secretOf("d8-system", "istio-ca", stored)).succeeds()
		ends, _ := r.metric(caExpiryMetric)
		Expect(ends).To(BeEquivalentTo(stored.Expires().Unix()))
		Expect(time.Unix(int64(ends), 0)).To(BeTemporally(">", time.Now().AddDate(9, 0, 0)))
	})

	It("finds the stored CA after the module was off", func() {
		stored := generated()
		r := newRun(certificateAuthority(), federationSettings).given(secretOf("d8-system", "istio-ca", stored)).succeeds()
		Expect(inUse(r)).To(Equal(stored))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("prefers the stored CA to one that was generated before the snapshot had it", func() {
		stored := generated()
		r := newRun(certificateAuthority(), federationSettings).given("").succeeds()
		Expect(inUse(r)).NotTo(Equal(stored))
		Expect(r.PatchedOperations()).To(HaveLen(1))
		Expect(r.PatchedOperations()[0].Type).To(BeEquivalentTo("CreateIfNotExists"), "one that is there is not overwritten")

		r.given(secretOf("d8-system", "istio-ca", stored)).succeeds()
		Expect(inUse(r)).To(Equal(stored))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("repairs an invalid stored Secret from the CA in use", func() {
		r := newRun(certificateAuthority(), federationSettings).given("").succeeds()
		first := inUse(r)
		broken := first
		broken.Key = generated().Key
		r.given(secretOf("d8-system", "istio-ca", broken)).succeeds()
		Expect(inUse(r)).To(Equal(first))
		Expect(r.PatchedOperations()).To(HaveLen(1))
		// A merge that does not speak of annotations: a person may be writing one at this moment.
		Expect(r.PatchedOperations()[0].Type).To(BeEquivalentTo("MergePatch"))
		Expect(fmt.Sprintf("%+v", r.PatchedOperations()[0])).NotTo(ContainSubstring("annotations"))
	})

	It("rewrites once a key in a form that istiod does not read", func() {
		stored := generated()
		key, err := certs.ParseKey(stored.Key)
		Expect(err).NotTo(HaveOccurred())
		der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
		Expect(err).NotTo(HaveOccurred())
		untidy := stored
		untidy.Key = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + certs.EncodeBlock("EC PRIVATE KEY", der)

		r := newRun(certificateAuthority(), federationSettings).given(secretOf("d8-system", "istio-ca", untidy), secretOf("d8-istio", "cacerts", untidy)).succeeds()
		Expect(inUse(r)).To(Equal(stored))
		Expect(r.PatchedOperations()).To(HaveLen(1))
		r.given(secretOf("d8-system", "istio-ca", stored), secretOf("d8-istio", "cacerts", stored)).succeeds()
		Expect(inUse(r)).To(Equal(stored))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("uses a Secret cacerts that existed before the module", func() {
		found := generated()
		r := newRun(certificateAuthority(), federationSettings).given(secretOf("d8-istio", "cacerts", found)).succeeds()
		Expect(inUse(r)).To(Equal(found))
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca")).NotTo(BeNil())
	})

	It("uses the CA of the settings from the beginning", func() {
		own := generated()
		r := newRun(certificateAuthority(), federationSettings).given("")
		r.ValuesSet("istio.ca", map[string]string{"cert": own.Cert, "key": own.Key})
		r.succeeds()
		Expect(inUse(r)).To(Equal(own))
		rejected, _ := r.metric(caRefusedMetric)
		Expect(rejected).To(BeZero())
	})

	Describe("when the settings have another CA", func() {
		var (
			former, own ca.Bundle
			r           *run
		)
		BeforeEach(func() {
			former, own = generated(), generated()
			r = newRun(certificateAuthority(), federationSettings).given(secretOf("d8-system", "istio-ca", former))
			r.ValuesSet("istio.ca", map[string]string{"cert": own.Cert, "key": own.Key})
			r.succeeds()
		})
		signs := func(which ca.Bundle, roots ...ca.Bundle) {
			GinkgoHelper()
			which.Root = ""
			for _, root := range roots {
				which.Root += root.Root
			}
			Expect(inUse(r)).To(Equal(which))
		}
		phase := func() string {
			for _, metric := range r.CollectedMetrics() {
				if metric.Name == caRotationMetric && *metric.Value == 1 {
					return metric.Labels["phase"]
				}
			}
			return ""
		}
		stored := func(annotations map[string]string) string {
			GinkgoHelper()
			secret := r.KubernetesResource("Secret", "d8-system", "istio-ca")
			if annotations != nil {
				secret.SetAnnotations(annotations)
			}
			text, err := yaml.Marshal(secret.Object)
			Expect(err).NotTo(HaveOccurred())
			return string(text)
		}
		// helm writes Secret cacerts, which wakes the hook.
		helm := func() {
			GinkgoHelper()
			r.given(stored(nil), secretOf("d8-istio", "cacerts", inUse(r))).succeeds()
		}
		annotate := func(value string) {
			GinkgoHelper()
			r.given(stored(map[string]string{caRequestAnnotation: value}), secretOf("d8-istio", "cacerts", inUse(r))).succeeds()
		}
		minute := func(after time.Duration) {
			GinkgoHelper()
			r.clock.Advance(after)
			r.succeeds()
			helm()
		}
		annotation := func() string {
			return r.KubernetesResource("Secret", "d8-system", "istio-ca").GetAnnotations()[caRequestAnnotation]
		}

		It("trusts both, lets the new one sign when every workload has its root, and removes the former when no certificate needs it", func() {
			helm()
			signs(former, former, own)
			Expect(phase()).To(Equal("Distributing"))

			minute(ca.Distribution)
			signs(own, former, own)
			Expect(phase()).To(Equal("Retiring"))

			minute(ca.Overlap)
			signs(own, own)
			Expect(phase()).To(BeEmpty())

			minute(ca.Overlap)
			Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca").Object["data"]).NotTo(HaveKey(caTrustKey))
			r.succeeds()
			Expect(r.PatchedOperations()).To(BeEmpty(), "after its end nothing is written any more")
		})

		It("waits for Secret cacerts, however long Helm fails, and reports it", func() {
			r.given(stored(nil), secretOf("d8-istio", "cacerts", former))
			for range 6 {
				r.clock.Advance(10 * time.Hour)
				r.succeeds()
				signs(former, former, own)
			}
			Expect(phase()).To(Equal("Distributing"))
			Expect(r.events(caRotationEventName)).To(ConsistOf(ContainSubstring("Secret d8-istio/cacerts")))
			r.given(stored(map[string]string{caRequestAnnotation: "emergency"}), secretOf("d8-istio", "cacerts", former)).succeeds()
			signs(former, former, own)
			Expect(annotation()).To(Equal("emergency"))
			Expect(r.events(caRotationEventName)).To(ConsistOf(ContainSubstring("ca-rotation=emergency on Secret d8-system/istio-ca is deferred until Secret d8-istio/cacerts")))
		})

		It("gives the new root its time when the record is lost in between", func() {
			helm()
			r.given(secretOf("d8-istio", "cacerts", inUse(r))).succeeds()
			signs(former, former, own)
			Expect(phase()).To(Equal("Distributing"))
			minute(ca.Distribution)
			signs(own, former, own)
		})

		It("continues where it was after a restart of the operator", func() {
			helm()
			r.clock.Advance(ca.Distribution)
			r.ValuesDelete("istio.internal.ca")
			r.succeeds()
			signs(own, former, own)
		})

		It("continues where it was after the module was off", func() {
			secret := stored(nil)
			later := newRun(certificateAuthority(), federationSettings)
			later.clock.Advance(ca.Distribution / 2)
			later.given(secret)
			later.ValuesSet("istio.ca", map[string]string{"cert": own.Cert, "key": own.Key})
			r = later.succeeds()
			signs(former, former, own)
		})

		It("writes nothing while a phase lasts", func() {
			for _, begun := range []func(){func() {}, helm} {
				begun()
				r.clock.Advance(time.Hour)
				Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
			}
		})

		It("reports in an Event the phase, its end, and how to end it earlier", func() {
			helm()
			Expect(r.events(caRotationEventName)).To(ConsistOf(And(ContainSubstring("signs until 2030-11-23T13:00:10Z"),
				ContainSubstring("istio.deckhouse.io/ca-rotation=proceed"))))
		})

		It("retains the new CA when it is removed from the settings after the switch", func() {
			helm()
			minute(ca.Distribution)
			r.ValuesDelete("istio.ca")
			r.succeeds()
			signs(own, former, own)
		})

		It("retains the former CA when the new one is removed from the settings before the switch", func() {
			helm()
			r.ValuesDelete("istio.ca")
			minute(ca.Distribution)
			signs(former, former, own)
			minute(ca.Overlap)
			signs(former, former)
		})

		// handOut is istiod, which writes a ConfigMap into each namespace when it has Secret cacerts.
		handOut := func(roots string) string {
			return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: d8-istio, name: istio-ca-root-cert}\ndata: {root-cert.pem: %q}\n", roots)
		}
		// annotateWith annotates while istiod hands out the roots.
		annotateWith := func(value, roots string) {
			GinkgoHelper()
			r.given(stored(map[string]string{caRequestAnnotation: value}), secretOf("d8-istio", "cacerts", inUse(r)), handOut(roots)).succeeds()
		}

		It("defers what a person requests until Pods have the root, reports it, and follows it once without another action", func() {
			annotateWith("proceed", former.Root+own.Root)
			signs(former, former, own)
			Expect(annotation()).To(Equal("proceed"))
			Expect(phase()).To(Equal("Distributing"))
			Expect(r.events(caRotationEventName)).To(ConsistOf(And(ContainSubstring("ca-rotation=proceed"),
				ContainSubstring("is deferred until 2030-11-22T12:03:10Z"), ContainSubstring("kubelets"), ContainSubstring("use proceed-now"))))
			Expect(r.LoggerOutput().String()).To(And(ContainSubstring("deferred"), ContainSubstring("2030-11-22T12:03:10Z")))

			r.clock.Advance(3*time.Minute - time.Second)
			r.succeeds()
			signs(former, former, own)
			Expect(r.PatchedOperations()).To(BeEmpty(), "waiting writes nothing")

			r.clock.Advance(time.Second)
			r.succeeds()
			signs(own, former, own)
			Expect(annotation()).To(BeEmpty())
			r.succeeds()
			Expect(phase()).To(Equal("Retiring"))
		})

		It("goes on with the wait after a restart of the operator", func() {
			annotateWith("proceed", former.Root+own.Root)
			r.clock.Advance(2 * time.Minute)
			r.ValuesDelete("istio.internal.ca")
			r.succeeds()
			signs(former, former, own)
			Expect(r.events(caRotationEventName)).To(ConsistOf(ContainSubstring("is deferred until 2030-11-22T12:03:10Z")))
			r.clock.Advance(time.Minute)
			r.succeeds()
			signs(own, former, own)
		})

		It("defers what a person requests while istiod hands out the former root alone", func() {
			annotateWith("proceed", former.Root)
			r.clock.Advance(time.Hour)
			r.succeeds()
			signs(former, former, own)
			Expect(annotation()).To(Equal("proceed"))
			Expect(r.events(caRotationEventName)).To(ConsistOf(And(ContainSubstring("is deferred: istiod has not written"), ContainSubstring("signs until 2030-11-23T13:00:10Z"))))
		})

		It("switches at once for a person who has checked the Pods", func() {
			annotateWith("proceed-now", former.Root)
			signs(own, former, own)
			Expect(annotation()).To(BeEmpty())
		})

		It("defers what a person requests in the second phase until every istiod has seen both roots, and reports it", func() {
			helm()
			minute(ca.Distribution)
			annotate("proceed")
			signs(own, former, own)
			Expect(annotation()).To(Equal("proceed"))
			Expect(r.events(caRotationEventName)).To(ConsistOf(And(ContainSubstring("is deferred until"), Not(ContainSubstring("has expired")))))
			minute(5 * time.Minute)
			signs(own, own)
			Expect(annotation()).To(BeEmpty())
		})

		It("removes the former CA within minutes in an emergency", func() {
			annotate("emergency")
			signs(own, former, own)
			Expect(annotation()).To(Equal("emergency"))
			helm()
			minute(5 * time.Minute)
			signs(own, own)
			Expect(annotation()).To(BeEmpty())
		})

		It("retains an unknown annotation and reports it", func() {
			annotate("hurry")
			signs(former, former, own)
			Expect(annotation()).To(Equal("hurry"))
			Expect(r.LoggerOutput().String()).To(ContainSubstring("unknown value"))
		})

		It("uses the CA in use when the record of trusted roots is invalid", func() {
			broken := aSecret("d8-system", "istio-ca", map[string]string{
				"ca-cert.pem": former.Cert, "ca-key.pem": former.Key, "cert-chain.pem": former.Chain, "root-cert.pem": former.Root, caTrustKey: "{",
			})
			r.given(broken, secretOf("d8-istio", "cacerts", inUse(r))).succeeds()
			signs(former, former, own)
			Expect(phase()).To(Equal("Distributing"))
			Expect(r.LoggerOutput().String()).To(ContainSubstring("cannot read"))
		})
	})

	DescribeTable("reports in an Event that no rotation is in progress", func(request, remains string) {
		stored := generated()
		secret := secretOf("d8-system", "istio-ca", stored)
		secret = strings.Replace(secret, "name: istio-ca}", "name: istio-ca, annotations: {"+caRequestAnnotation+": "+request+"}}", 1)
		r := newRun(certificateAuthority(), federationSettings).given(secret).succeeds()
		Expect(inUse(r)).To(Equal(stored))
		Expect(r.events(caIdleEventName)).To(ConsistOf(And(ContainSubstring("="+request), ContainSubstring("in the settings"))))
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca").GetAnnotations()[caRequestAnnotation]).To(Equal(remains))
		Expect(r.LoggerOutput().String()).NotTo(ContainSubstring("was followed"))
	},
		Entry("and forgets a request to proceed", "proceed", ""),
		Entry("and retains an emergency for the next CA", "emergency", "emergency"),
	)

	It("rejects an invalid CA of the settings by name, once, and retains the old one", func() {
		stored := generated()
		r := newRun(certificateAuthority(), federationSettings).given(secretOf("d8-system", "istio-ca", stored))
		r.ValuesSet("istio.ca", map[string]string{"cert": generated().Cert, "key": stored.Key})
		r.succeeds()
		Expect(inUse(r)).To(Equal(stored))
		value, _ := r.metric(caRefusedMetric)
		Expect(value).To(BeEquivalentTo(1))
		Expect(r.LoggerOutput().String()).To(ContainSubstring("ca.key: does not belong"))
		r.succeeds()
		Expect(r.events(caRefusedEventName)).To(ConsistOf(ContainSubstring("ca.key: does not belong")))
	})
})
