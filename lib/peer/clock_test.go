package peer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestARejectionBecauseOfTheClockIsReportedAsSuch(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   Reason
	}{
		"this cluster's clock is ahead":     {401, `{"error":"the token is not valid yet (nbf): compare the clocks of both clusters"}`, ClockDiffers},
		"this cluster's clock is behind":    {401, `{"error":"the token has expired (exp)"}`, ClockDiffers},
		"in a proxy's words":                {403, `Jwt is not yet valid`, ClockDiffers},
		"in other JSON":                     {401, `{"message":"token used before issued"}`, ClockDiffers},
		"another reason":                    {401, `{"error":"the caller is no peer of this cluster"}`, Unauthorized},
		"a similar word":                    {401, `{"error":"unexpected"}`, Unauthorized},
		"a long answer":                     {401, strings.Repeat("x", 1<<20) + " expired", Unauthorized},
		"claims that are missing":           {401, `{"error":"the token lacks nbf or exp"}`, Unauthorized},
		"no reason":                         {401, ``, Unauthorized},
		"another status with the same text": {500, `{"error":"expired"}`, BadStatus},
	} {
		t.Run(name, func(t *testing.T) {
			_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			_, err := NewClient().Get(context.Background(), target, Request{Path: "x", Token: "t"})
			var failed *Error
			if !errors.As(err, &failed) || failed.Reason != test.want {
				t.Fatalf("got %v, want reason %s", err, test.want)
			}
			if says := strings.Contains(failed.Error(), "clocks"); says != (test.want == ClockDiffers) {
				t.Errorf("error %v", failed)
			}
		})
	}
}

func TestARejectionOfAPublicDocumentIsNotAboutTheClock(t *testing.T) {
	_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("expired"))
	})
	_, err := NewClient().Get(context.Background(), target, Request{Path: "x"})
	var failed *Error
	if !errors.As(err, &failed) || failed.Reason != BadStatus {
		t.Errorf("got %v", err)
	}
}
