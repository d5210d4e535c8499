package lab

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestModuleSettings(t *testing.T) {
	for name, test := range map[string]struct {
		file   string
		want   map[string]any
		joined bool
	}{
		"without a file the mode is on": {
			want: map[string]any{"federation": map[string]any{"enabled": true}}, joined: true,
		},
		"a file adds to what the mode needs": {
			file: "alliance: {ingressGateway: {inlet: NodePort}}\nfederation: {}\n",
			want: map[string]any{
				"federation": map[string]any{"enabled": true},
				"alliance":   map[string]any{"ingressGateway": map[string]any{"inlet": "NodePort"}},
			},
			joined: true,
		},
		"a file has the last word": {
			file: "federation: {enabled: false}\n",
			want: map[string]any{"federation": map[string]any{"enabled": false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := ""
			if test.file != "" {
				file = filepath.Join(t.TempDir(), "settings.yaml")
				if err := os.WriteFile(file, []byte(test.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := moduleSettings(Federation, file)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Fatalf("settings %v, want %v", got, test.want)
			}
			if enabled(got, Federation) != test.joined {
				t.Fatalf("enabled = %t, want %t", !test.joined, test.joined)
			}
		})
	}
}

func TestSettingsThatAreNotAMapAreRefusedByName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("- a list\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := moduleSettings(Federation, file); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("error %v does not name the file", err)
	}
}

func TestParseMode(t *testing.T) {
	for text, want := range map[string]string{"federation": "", "multicluster": "not available yet", "mesh": "not known"} {
		_, err := ParseMode(text)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("ParseMode(%q): %v, want %q", text, err, want)
		}
	}
}

func TestClustersOfALabShareNoRange(t *testing.T) {
	plans := planClusters(MaxClusters)
	for i, a := range plans {
		if !a.nodeIP.IsPrivate() || a.domain != a.name+".local" {
			t.Errorf("plan %+v", a)
		}
		for _, b := range plans[i+1:] {
			if a.podSubnet.Overlaps(b.podSubnet) || a.serviceSubnet.Overlaps(b.serviceSubnet) || a.podSubnet.Overlaps(b.serviceSubnet) || a.serviceSubnet.Overlaps(b.podSubnet) {
				t.Errorf("ranges of %s and %s overlap", a.name, b.name)
			}
		}
	}
}
