//go:build apiserver

package guarded_test

import (
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/remotereader"
	"github.com/deckhouse-mesh/istio/test/guarded"
	"github.com/deckhouse-mesh/istio/test/support/remotereadertest"
)

// workers ask at a time: most of the time goes into forwarded watches, which last a second each.
const workers = 16

// discovered is everything the API server has, in every version.
func discovered(t *testing.T) []*metav1.APIResourceList {
	t.Helper()
	_, lists, err := cluster.Client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	return lists
}

// answer of the proxy to one case.
type answer struct {
	remotereadertest.Case
	code int
	body string
}

// askAll sends every case, over both protocols in turn.
func (p *proxy) askAll(t *testing.T, cases []remotereadertest.Case) []answer {
	t.Helper()
	clients := []*http.Client{p.client(t, true), p.client(t, false)}
	answers := make([]answer, len(cases))
	var group sync.WaitGroup
	next := make(chan int)
	for range workers {
		group.Go(func() {
			for index := range next {
				each := cases[index]
				code, body, err := p.ask(t.Context(), clients[index%len(clients)], each.Method, each.Path, each.Body, nil)
				if err != nil {
					t.Errorf("%s: %v", each.Name, err)
				}
				answers[index] = answer{each, code, body}
			}
		})
	}
	for index := range cases {
		next <- index
	}
	close(next)
	group.Wait()
	return answers
}

// TestWhatReachesTheAPIServer asks for every resource and subresource that the
// API server has, with every method, through a proxy that might do anything,
// and compares with the API server's own audit log.
func TestWhatReachesTheAPIServer(t *testing.T) {
	lists := discovered(t)
	cases := remotereadertest.Matrix(lists, guarded.Shop)
	p := start(t, "may-do-anything", guarded.Everything)
	want := map[string]int{}
	counts := map[remotereadertest.Outcome]int{}
	for _, each := range p.askAll(t, cases) {
		counts[each.Want]++
		if err := each.Check(each.code, []byte(each.body)); err != nil {
			t.Errorf("%s: %v", each.Name, err)
		}
		if shows(each.body) {
			t.Errorf("%s shows a Secret's content", each.Name)
		}
		if each.Want == remotereadertest.Forwarded {
			want[each.Path]++
			continue
		}
		if each.Want == remotereadertest.Rejected && !slices.Contains([]int{400, 403, 404}, each.code) {
			t.Errorf("%s is rejected with %d", each.Name, each.code)
		}
	}
	got := map[string]int{}
	for _, each := range p.arrived(t) {
		got[plainURI(each.RequestURI)]++
		if each.ObjectRef.Resource == "secrets" || each.ObjectRef.Subresource != "" ||
			!slices.Contains([]string{"get", "list", "watch", "create"}, each.Verb) {
			t.Errorf("the API server was asked to %s %s", each.Verb, each.RequestURI)
		}
	}
	wanted := map[string]int{}
	for path, count := range want {
		wanted[plainURI(path)] += count
	}
	if !maps.Equal(got, wanted) {
		for path := range got {
			if wanted[path] != got[path] {
				t.Errorf("%s arrived %d times, want %d", path, got[path], wanted[path])
			}
		}
		for path := range wanted {
			if got[path] == 0 {
				t.Errorf("%s did not arrive", path)
			}
		}
	}
	for _, outcome := range []remotereadertest.Outcome{remotereadertest.Forwarded, remotereadertest.Empty, remotereadertest.Rejected} {
		if counts[outcome] == 0 {
			t.Errorf("no case is %s", outcome)
		}
	}
	for _, resource := range remotereader.Readable() {
		for _, version := range resource.Versions {
			if !serves(lists, resource, version) {
				t.Errorf("the API server has no %s in %s/%s: nothing is proved about it", resource.Name, resource.Group, version)
			}
		}
	}
	t.Logf("%d cases: %v; %d requests arrived", len(cases), counts, len(p.arrived(t)))
}

// shows reports whether an answer has the content of the Secret, in JSON or protobuf.
func shows(body string) bool {
	return strings.Contains(body, secretContent) || strings.Contains(body, base64.StdEncoding.EncodeToString([]byte(secretContent)))
}

// plainURI is a path, and whether it is watched: the proxy adds parameters of its own.
func plainURI(uri string) string {
	path, query, _ := strings.Cut(uri, "?")
	if strings.Contains(query, "watch=true") {
		path += " (watch)"
	}
	return path
}

func serves(lists []*metav1.APIResourceList, resource remotereader.Resource, version string) bool {
	return slices.ContainsFunc(lists, func(list *metav1.APIResourceList) bool {
		return list.GroupVersion == strings.TrimPrefix(resource.Group+"/"+version, "/") &&
			slices.ContainsFunc(list.APIResources, func(each metav1.APIResource) bool { return each.Name == resource.Name })
	})
}

// TestTheRenderedRightsAreEnough: what passes the proxy is not stopped by its roles.
func TestTheRenderedRightsAreEnough(t *testing.T) {
	p := start(t, "as-rendered", guarded.AsRendered)
	var cases []remotereadertest.Case
	for _, each := range remotereadertest.Matrix(discovered(t), guarded.Shop) {
		if each.Want == remotereadertest.Forwarded {
			cases = append(cases, each)
		}
	}
	for _, name := range remotereader.MeshConfigMaps() {
		path := "/api/v1/namespaces/" + guarded.Namespace + "/configmaps"
		selected := path + "?fieldSelector=metadata.name%3D" + name
		for _, target := range []string{path + "/" + name, selected, selected + "&watch=true&timeoutSeconds=1"} {
			cases = append(cases, remotereadertest.Case{Name: "GET " + target, Method: http.MethodGet, Path: target, Want: remotereadertest.Forwarded})
		}
	}
	for _, each := range p.askAll(t, cases) {
		if err := each.Check(each.code, []byte(each.body)); err != nil {
			t.Errorf("%s: %v", each.Name, err)
		}
		if each.code == http.StatusUnauthorized || each.code == http.StatusForbidden {
			t.Errorf("%s: %d %.300s", each.Name, each.code, each.body)
		}
	}
}

// TestNoConnectionBecomesSomethingElse asks for everything that kubectl would
// turn into a stream: exec, attach, port-forward, proxies, and watches over
// websockets.
func TestNoConnectionBecomesSomethingElse(t *testing.T) {
	p := start(t, "may-upgrade", guarded.Everything)
	client := p.client(t, false)
	for _, path := range []string{
		"/pods/some-name/exec?command=sh&stdin=true&stdout=true", "/pods/some-name/attach?stdin=true", "/pods/some-name/portforward?ports=80",
		"/pods/some-name/log?follow=true", "/pods/some-name/proxy", "/pods/some-name/proxy/", "/services/some-name/proxy", "/services/https:some-name:443/proxy/x",
		"/pods?watch=true", "/pods", "/secrets?watch=true",
	} {
		for _, header := range []http.Header{
			{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"eA=="}, "Sec-Websocket-Protocol": {"v5.channel.k8s.io"}},
			{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}, "X-Stream-Protocol-Version": {"v4.channel.k8s.io"}},
			{"Connection": {"keep-alive, UPGRADE"}},
			{"Upgrade": {"h2c"}},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				code, body, err := p.ask(t.Context(), client, method, "/api/v1/namespaces/"+guarded.Shop+path, "", header)
				if err != nil || code != http.StatusForbidden || !strings.Contains(body, remotereader.MessagePrefix) {
					t.Errorf("%s %s with %v: %d %s %v", method, path, header, code, body, err)
				}
			}
		}
	}
	if got := p.arrived(t); len(got) > 0 {
		t.Errorf("the API server was asked for %v", got)
	}
}

// TestNobodyElseIsImpersonated sends what would make the API server take the
// proxy, which may do that here, for someone else.
func TestNobodyElseIsImpersonated(t *testing.T) {
	p := start(t, "may-impersonate", guarded.Everything)
	hostile := http.Header{"Connection": {"Authorization, Accept"}, "X-Forwarded-User": {"system:admin"}, "Cookie": {"a=b"}}
	for _, name := range []string{
		"Impersonate-User", "impersonate-user", "IMPERSONATE-USER", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes", "Impersonate-Anything",
		"Impersonate_User", "X-Remote-User", "x-remote-user", "X-Remote-Group", "X-Remote-Uid", "X-Remote-Extra-Scopes", "X-Remote-Anything",
	} {
		hostile[name] = []string{"system:masters", "system:admin"}
	}
	question := `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"user":"x","nonResourceAttributes":{"path":"/","verb":"get"}}}`
	for _, http2 := range []bool{true, false} {
		header := hostile.Clone()
		if http2 {
			header.Del("Connection")
		}
		client := p.client(t, http2)
		for target, body := range map[string]string{"/api/v1/namespaces/shop/pods": "", "/apis/authorization.k8s.io/v1/subjectaccessreviews": question} {
			method, want := http.MethodGet, http.StatusOK
			if body != "" {
				method, want = http.MethodPost, http.StatusCreated
			}
			if code, answer, err := p.ask(t.Context(), client, method, target, body, header); code != want {
				t.Errorf("%s: %d %s %v", target, code, answer, err)
			}
		}
	}
	if got := p.arrived(t); len(got) != 4 { // each of them is found to be the proxy's own
		t.Errorf("%d requests arrived: %v", len(got), got)
	}
}

// TestSecretsAreNeverAskedFor reads them in every way that a client has.
func TestSecretsAreNeverAskedFor(t *testing.T) {
	p := start(t, "may-read-secrets", guarded.Everything)
	client := p.client(t, true)
	var group sync.WaitGroup
	for _, target := range []string{
		"/api/v1/secrets", "/api/v1/namespaces/shop/secrets", "/api/v1/namespaces/shop/secrets/some-name", "/api/v1/secrets/some-name",
		"/api/v1/secrets?watch=1&timeoutSeconds=1", "/api/v1/secrets?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1",
		"/api/v1/watch/secrets", "/api/v1/watch/namespaces/shop/secrets", "/api/v1/watch/namespaces/shop/secrets/some-name",
		"/api/v1/secrets?watch", "/api/v1/secrets?watch=", "/api/v1/secrets?watch=yes", "/api/v1/secrets?watch=false&watch=true", "/api/v1/secrets?Watch=true",
		"/api/v1/secrets?fieldSelector=metadata.name%3Dsome-name", "/api/v1/secrets?limit=1", "/api/v1/secrets?resourceVersion=0&resourceVersionMatch=Exact",
		"/api/v1/secrets?labelSelector=%21x&pretty=true", "/api/v1/pods;/secrets", "/api/v1/namespaces/shop/pods/../secrets", "/api/v1//secrets", "/api/v1/./secrets",
		"/api/v1/%73ecrets", "/api/v1/secrets/", "/api/v1/secrets%3Fwatch=1", "/api/v1/namespaces/shop%2Fsecrets", "/api/v1/SECRETS",
		"/apis/../api/v1/secrets", "/apis//v1/secrets", "/apis/v1/secrets", "/api/v1/namespaces//secrets",
	} {
		for _, accept := range []string{"", "application/vnd.kubernetes.protobuf", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"} {
			group.Go(func() { // at once: each watch takes the second that it asks for
				_, body, err := p.ask(t.Context(), client, http.MethodGet, target, "", http.Header{"Accept": {accept}})
				if err != nil {
					t.Errorf("%s: %v", target, err)
				}
				if strings.Contains(body, "some-name") || shows(body) {
					t.Errorf("%s (%s) shows %q", target, accept, body)
				}
			})
		}
	}
	group.Wait()
	if got := p.arrived(t); len(got) > 0 {
		t.Errorf("the API server was asked for %v", got)
	}
}

// TestOnlyAllowedRequestsReachTheAPIServer mixes what is allowed with
// tricks: the API server's own parser, in its audit log, has the last word.
func TestOnlyAllowedRequestsReachTheAPIServer(t *testing.T) {
	p := start(t, "may-be-tricked", guarded.Everything)
	client := p.client(t, true)
	allowed := "/api/v1/namespaces/shop/pods"
	for _, trick := range []string{
		"", "/", "//", "/.", "/..", "/../secrets", "/%2e%2e/secrets", "/..%2fsecrets", "%2f..%2fsecrets", ";x", ";/../secrets", "%00", "%0a", "%20", "/some-name/..;/secrets",
		"/some-name", "/some-name/", "/some-name/log", "/some-name/%6cog", "/some-name%2flog", "?watch=1&timeoutSeconds=1", "?watch=t", "?watch=TRUE", "?watch=1;", "?%77atch=1&timeoutSeconds=1",
		"?watch=true&watch=false", "?fieldSelector=metadata.name%3Dsome-name", "?fieldSelector=metadata.name%3D..%2F..%2Fsecrets", "?fieldSelector=metadata.namespace%3Dkube-system",
		"?labelSelector=a%2Cb", "?resourceVersionMatch=Exact&resourceVersion=1", "?resourceVersionMatch=exact", "?continue=..", "?limit=1e9", "?limit=-1", "?limit=99999999999999999999",
		"?dryRun=All", "?fieldManager=x", "?command=sh", "?path=/secrets", "?x=%2Fsecrets", "?timeoutSeconds=-1&watch=1", "?timeout=1s", "?timeout=1h;x", "?a&b&c", "?&", "??watch=1", "?#", "#/secrets",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if _, _, err := p.ask(t.Context(), client, method, allowed+trick, "", nil); err != nil && !strings.Contains(err.Error(), "invalid") {
				t.Errorf("%s %s: %v", method, trick, err)
			}
		}
	}
	got := p.arrived(t)
	if len(got) == 0 {
		t.Error("nothing arrived, not even what is allowed")
	}
	for _, each := range got {
		ref := each.ObjectRef
		if !slices.Contains([]string{"get", "list", "watch"}, each.Verb) || ref.Resource != "pods" || ref.APIGroup != "" || ref.Subresource != "" || ref.Namespace != guarded.Shop {
			t.Errorf("the API server was asked to %s %s", each.Verb, each.RequestURI)
		}
	}
	t.Logf("%d arrived", len(got))
}

// TestTheSameRequestsAreDangerousWithoutTheProxy: the ServiceAccounts of these
// tests may do everything, so it is the proxy that stops them.
func TestTheSameRequestsAreDangerousWithoutTheProxy(t *testing.T) {
	config, err := cluster.Account(t.Context(), "unguarded", guarded.Everything)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+"/api/v1/namespaces/shop/secrets/some-name", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Impersonate-User", "system:admin")
	request.Header.Set("Impersonate-Group", "system:masters")
	response, err := direct(t, config).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), base64.StdEncoding.EncodeToString([]byte(secretContent))) {
		t.Errorf("%d %s %v", response.StatusCode, body, err)
	}
}
