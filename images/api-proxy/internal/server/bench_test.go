package server_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// podList is the answer of an API server with that many Pods, encoded once: the
// benchmark is of the way, not of its end.
func podList(b *testing.B, count int, contentType string) []byte {
	b.Helper()
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for i := range count {
		list.Items = append(list.Items, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("web-7f9c6d5b8-%05d", i), Namespace: fmt.Sprintf("shop-%d", i%50), UID: "0b7a2c6e-6d2a-4a8f-9a53-0c7f2f1c9a11",
				Labels:      map[string]string{"app": "web", "version": "v1", "pod-template-hash": "7f9c6d5b8", "service.istio.io/canonical-name": "web"},
				Annotations: map[string]string{"sidecar.istio.io/status": string(bytes.Repeat([]byte("x"), 400))},
			},
			Spec: corev1.PodSpec{ServiceAccountName: "web", NodeName: "node-1", Containers: []corev1.Container{{
				Name: "web", Image: "registry.example/shop/web:v1.2.3", Env: []corev1.EnvVar{{Name: "MODE", Value: "production"}},
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
			}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.1.%d.%d", i/250, i%250),
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		})
	}
	serializer, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), contentType)
	encoded, err := runtime.Encode(serializer.Serializer, list)
	if err != nil {
		b.Fatal(err)
	}
	return encoded
}

// ways are to the backend directly and through the proxy, with the same client.
func ways(b *testing.B, p *proxy) map[string]func(target string) (*http.Client, *http.Request) {
	b.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(p.backend.Certificate())
	direct := p.client(b, true)
	direct.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
	through := p.client(b, true)
	return map[string]func(string) (*http.Client, *http.Request){
		"direct": func(target string) (*http.Client, *http.Request) {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, p.backend.URL+target, nil)
			if err != nil {
				b.Fatal(err)
			}
			return direct, r
		},
		"through the proxy": func(target string) (*http.Client, *http.Request) {
			return through, p.request(b, http.MethodGet, target, "")
		},
	}
}

// objectSize is about that of a Pod, in bytes.
const objectSize = 1500

// BenchmarkListOf5000Pods reads the whole list; MB/s is to be compared.
func BenchmarkListOf5000Pods(b *testing.B) {
	for _, contentType := range []string{"application/vnd.kubernetes.protobuf", "application/json"} {
		body := podList(b, 5000, contentType)
		p := start(b, setup{answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			// As the API server writes it: object by object.
			for rest := body; len(rest) > 0; rest = rest[min(len(rest), objectSize):] {
				_, _ = w.Write(rest[:min(len(rest), objectSize)])
			}
		}})
		for name, way := range ways(b, p) {
			b.Run(contentType[len("application/"):]+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					client, r := way("/api/v1/pods")
					response, err := client.Do(r)
					if err != nil {
						b.Fatal(err)
					}
					read, err := io.Copy(io.Discard, response.Body)
					response.Body.Close()
					if err != nil || read != int64(len(body)) {
						b.Fatalf("read %d of %d bytes, %v", read, len(body), err)
					}
				}
			})
		}
	}
}

// BenchmarkWatchEvent is the time from the API server's flush to the reader;
// the median is reported beside the mean.
func BenchmarkWatchEvent(b *testing.B) {
	source := newEvents()
	p := start(b, setup{answer: source.answer})
	payload := bytes.Repeat([]byte("x"), 2000)
	for name, way := range ways(b, p) {
		b.Run(name, func(b *testing.B) {
			client, r := way(podWatch)
			response, err := client.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			defer response.Body.Close()
			reader := bufio.NewReaderSize(response.Body, 64<<10)
			var took []time.Duration
			for b.Loop() {
				source.send <- strconv.FormatInt(time.Now().UnixNano(), 10) + " " + string(payload)
				line, err := reader.ReadString('\n')
				if err != nil {
					b.Fatal(err)
				}
				sent, _, _ := bytes.Cut([]byte(line), []byte(" "))
				at, err := strconv.ParseInt(string(sent), 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(time.Unix(0, at)))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
		})
	}
}
