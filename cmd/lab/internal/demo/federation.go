package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/probe"
)

// settled is how long an outcome must last to count.
const settled = 2 * time.Second

// federation shows a published Service, its callers, and the end of trust.
func (s *stage) federation(ctx context.Context) error {
	if err := s.publisher.publishNothing(ctx); err != nil {
		return err
	}
	if err := s.start(ctx, []string{"client", "stranger"}, []string{"web"}); err != nil {
		return err
	}
	calls, stop := startCalls(ctx, &s.consumer, s.url())
	defer stop()
	entry, err := s.showPublishing(ctx, calls)
	if err != nil {
		return err
	}
	gateway, err := gatewayOf(entry)
	if err != nil {
		return err
	}
	if err := s.showStrangers(ctx, gateway); err != nil {
		return err
	}
	if err := s.showEndOfTrust(ctx, calls); err != nil {
		return err
	}
	s.sayWhatToTry(gateway)
	return nil
}

// showPublishing publishes the Service and sees it arrive: its ServiceEntry, and the first answer.
func (s *stage) showPublishing(ctx context.Context, calls *calls) (*unstructured.Unstructured, error) {
	before, err := calls.await(ctx, time.Time{}, "wait for the client's first call", func(probe.Call) bool { return true })
	if err != nil {
		return nil, err
	}
	s.print("")
	s.print("%s: the client calls %s every 10 ms, each time on a new connection: %s", s.consumer.Name, s.url(), outcome(before))
	watcher := newWatcher(s.consumer.clients, s.host())
	if _, err := watcher.await(ctx, false); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := s.publisher.publish(ctx, true); err != nil {
		return nil, err
	}
	s.print("%s: $ kubectl -n %s label service %s %s=", s.publisher.Name, namespace, service, publishLabel)
	entry, err := watcher.await(ctx, true)
	if err != nil {
		return nil, err
	}
	s.print("%s: ServiceEntry %s/%s exists after %s", s.consumer.Name, entry.GetNamespace(), entry.GetName(), elapsed(begun))
	call, err := calls.await(ctx, begun, "wait for the first answer", probe.Call.Answered)
	if err != nil {
		return nil, err
	}
	s.print("%s: the first request is answered after %s, by Pod %s of %s", s.consumer.Name, seconds(call.Ended.Sub(begun)), call.Pod, call.Cluster)
	s.printIdentities(call)
	return entry, checkIdentities(call, s.consumer.identity("client"), s.publisher.identity("web"))
}

func (s *stage) printIdentities(call probe.Call) {
	s.print("    the server saw        %s", call.Caller)
	s.print("    the client verified   %s", call.Server)
}

// identity of a ServiceAccount in the demonstration's namespace.
func (c *cluster) identity(account string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", c.Domain, namespace, account)
}

// checkIdentities rejects an answer from another server, or to another caller, than expected.
func checkIdentities(call probe.Call, caller, server string) error {
	if call.Caller != caller || call.Server != server {
		return fmt.Errorf("the request was answered, but the server saw %q instead of %s, and the client verified %q instead of %s", call.Caller, caller, call.Server, server)
	}
	return nil
}

// strangerAttempts is how often a stranger tries, until one attempt ends with the alert.
const strangerAttempts = 5

// showStrangers tries to get in through the gateway by the right name.
func (s *stage) showStrangers(ctx context.Context, gateway string) error {
	s.print("")
	s.print("%s: a stranger opens TLS to %s's gateway, %s, for %s", s.consumer.Name, s.publisher.Name, gateway, s.serverName())
	for _, stranger := range []struct {
		who  string
		args []string
	}{
		{"without a certificate", nil},
		{"with one of a foreign root", []string{"--identity", s.consumer.identity("client")}},
	} {
		verdict, err := s.tryStranger(ctx, gateway, stranger.args)
		// Now and then the gateway ends the connection before it has passed the alert on.
		for attempt := 1; err == nil && !verdict.Accepted && verdict.Alert == "" && attempt < strangerAttempts; attempt++ {
			verdict, err = s.tryStranger(ctx, gateway, stranger.args)
		}
		if err != nil {
			return err
		}
		if verdict.Accepted || verdict.Alert == "" {
			return fmt.Errorf("a stranger %s is not rejected with an alert: %+v", stranger.who, verdict)
		}
		s.print("    %-27s rejected by %s: %s", stranger.who+":", strings.Join(verdict.Server, ", "), verdict.Alert)
	}
	return nil
}

func (s *stage) tryStranger(ctx context.Context, gateway string, args []string) (probe.Verdict, error) {
	var output bytes.Buffer
	command := append([]string{"probe", "tls", "--server-name", s.serverName()}, append(args, gateway)...)
	var verdict probe.Verdict
	err := s.consumer.pods.Exec(ctx, "stranger", "stranger", command, nil, &output)
	if err == nil {
		err = json.Unmarshal(output.Bytes(), &verdict)
	}
	if err != nil {
		return verdict, fmt.Errorf("try to get in as a stranger: %w", err)
	}
	return verdict, nil
}

// serverName leads through a gateway to the Service's port, as Istio's proxies name it.
func (s *stage) serverName() string { return "outbound_.80_._." + s.host() }

// threadsSpread is how long after the first thread of a proxy its last one may take up a changed listener.
const threadsSpread = time.Second

// showEndOfTrust deletes the publisher's resource for the consumer, and restores it.
func (s *stage) showEndOfTrust(ctx context.Context, calls *calls) error {
	peer, err := s.publisher.peer(ctx, s.consumer.Name)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := s.publisher.forget(ctx, s.consumer.Name); err != nil {
		return err
	}
	s.print("")
	s.print("%s: $ kubectl delete istiofederation %s", s.publisher.Name, s.consumer.Name)
	failure, err := calls.await(ctx, begun, "wait until the client is rejected", func(call probe.Call) bool { return !call.Answered() })
	if err != nil {
		return err
	}
	s.print("%s: new connections fail after %s: %s", s.consumer.Name, seconds(failure.Ended.Sub(begun)), outcome(failure))
	if err := sleep(ctx, settled); err != nil {
		return err
	}
	changes := calls.since(failure.Began)
	for i, call := range changes {
		if call.Answered() && (i == len(changes)-1 || call.Began.After(failure.Ended.Add(threadsSpread))) {
			return fmt.Errorf("a request was answered %s after trust had ended", seconds(call.Ended.Sub(begun)))
		}
	}
	begun = time.Now()
	if err := s.publisher.remember(ctx, peer); err != nil {
		return err
	}
	s.print("%s: $ kubectl apply -f istiofederation.yaml   # the same one", s.publisher.Name)
	call, err := calls.await(ctx, begun, "wait until the client is trusted again", probe.Call.Answered)
	if err != nil {
		return err
	}
	s.print("%s: requests are answered again after %s", s.consumer.Name, seconds(call.Ended.Sub(begun)))
	return nil
}

// gatewayOf a ServiceEntry is the first address behind which its hosts are.
func gatewayOf(entry *unstructured.Unstructured) (string, error) {
	endpoints, _, _ := unstructured.NestedSlice(entry.Object, "spec", "endpoints")
	for _, item := range endpoints {
		endpoint, _ := item.(map[string]any)
		address, _ := endpoint["address"].(string)
		ports, _ := endpoint["ports"].(map[string]any)
		for _, port := range ports {
			if number, ok := port.(int64); ok && address != "" {
				return net.JoinHostPort(address, strconv.FormatInt(number, 10)), nil
			}
		}
	}
	return "", errors.New("the ServiceEntry has no endpoint with an address and a port")
}

func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
		return nil
	}
}
