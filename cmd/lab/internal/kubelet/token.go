package kubelet

import (
	"context"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// defaultTokenSeconds is what a projection that says nothing gets.
const defaultTokenSeconds = 3600

// tokens issues ServiceAccount tokens that are bound to Pods, and issues them
// anew when four fifths of their life are over, as the kubelet does.
type tokens struct {
	client kubernetes.Interface
	now    func() time.Time

	mu     sync.Mutex
	issued map[tokenKey]issuedToken
}

type tokenKey struct {
	pod      types.UID
	audience string
	seconds  int64
}

type issuedToken struct {
	token string
	renew time.Time
}

func newTokens(client kubernetes.Interface) *tokens {
	return &tokens{client: client, now: time.Now, issued: map[tokenKey]issuedToken{}}
}

func (t *tokens) token(ctx context.Context, pod *corev1.Pod, projection corev1.ServiceAccountTokenProjection) ([]byte, error) {
	key := tokenKey{pod: pod.UID, audience: projection.Audience, seconds: defaultTokenSeconds}
	if projection.ExpirationSeconds != nil {
		key.seconds = *projection.ExpirationSeconds
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.issued[key]; ok && t.now().Before(known.renew) {
		return []byte(known.token), nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &key.seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if projection.Audience != "" {
		request.Spec.Audiences = []string{projection.Audience}
	}
	begun := t.now()
	answer, err := t.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("request a token of ServiceAccount %s/%s: %w", pod.Namespace, pod.Spec.ServiceAccountName, err)
	}
	life := time.Duration(key.seconds) * time.Second
	t.issued[key] = issuedToken{token: answer.Status.Token, renew: begun.Add(life * 4 / 5)}
	return []byte(answer.Status.Token), nil
}

// forget drops a Pod's tokens.
func (t *tokens) forget(pod types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.issued {
		if key.pod == pod {
			delete(t.issued, key)
		}
	}
}
