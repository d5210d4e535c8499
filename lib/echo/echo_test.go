package echo_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/deckhouse-mesh/istio/lib/echo"
)

func TestTextOfOthersIsShownWithoutWhatATerminalObeys(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"plain text stays":             {"web.shop.svc.cluster-b.local", "web.shop.svc.cluster-b.local"},
		"letters of other languages":   {"grüße, \u043f\u0440\u0438\u0432\u0435\u0442", "grüße, \u043f\u0440\u0438\u0432\u0435\u0442"},
		"an escape sequence":           {"a\x1b[2Jb", "a?[2Jb"},
		"lines":                        {"a\r\nb\u2028c", "a??b?c"},
		"another direction of writing": {"a\u202eb", "a?b"},
		"no UTF-8":                     {"a\xff\xfeb", "ab"},
		"no text":                      {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := echo.Text(test.text, 300); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTextOfOthersIsBoundedAndSurvivesJSON(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", 400), strings.Repeat("\xff", 400), strings.Repeat("a", 299) + "é", strings.Repeat("\u20ac", 200)} {
		shown := echo.Text(text, 300)
		encoded, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		var again string
		if err := json.Unmarshal(encoded, &again); err != nil || again != shown || !utf8.ValidString(shown) || len(shown) > 300 {
			t.Errorf("%.20q… becomes %q (%d bytes), and after JSON %q (%v)", text, shown, len(shown), again, err)
		}
	}
}
