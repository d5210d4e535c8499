package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type recorder struct{ links []LinkRequest }

func (r *recorder) SetLink(_ context.Context, request LinkRequest) error {
	r.links = append(r.links, request)
	return nil
}

func (r *recorder) SetNode(_ context.Context, request NodeRequest) error {
	return errors.New("no node " + request.Name)
}

func TestRequestsReachTheLabAndItsErrorsComeBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40)) // longer than a socket's path may be
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lab := &recorder{}
	if err := Serve(ctx, dir, lab); err != nil {
		t.Fatal(err)
	}
	want := LinkRequest{Clusters: [2]string{"cluster-a", "cluster-b"}, Cut: true}
	if err := SetLink(t.Context(), dir, want); err != nil || len(lab.links) != 1 || lab.links[0] != want {
		t.Errorf("links %+v, %v", lab.links, err)
	}
	if err := SetNode(t.Context(), dir, NodeRequest{Name: "x"}); err == nil || err.Error() != "no node x" {
		t.Errorf("error %v", err)
	}
}

func TestAskingWhereNoLabRunsSaysSo(t *testing.T) {
	if err := SetLink(t.Context(), t.TempDir(), LinkRequest{}); err == nil || !strings.Contains(err.Error(), "must be running") {
		t.Errorf("error %v", err)
	}
}
