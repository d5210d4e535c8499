package rendertest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

type alertGroup struct {
	Name  string `json:"name"`
	Rules []struct {
		Alert       string            `json:"alert"`
		Expr        string            `json:"expr"`
		For         string            `json:"for"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"rules"`
}

// TestAlertsUseMetricsThatExist: an alert on a renamed metric never fires, and nobody notices.
func TestAlertsUseMetricsThatExist(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "monitoring", "prometheus-rules", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules found: %v", err)
	}
	sources := sourceCode(t, filepath.Join(root, "hooks")) + sourceCode(t, filepath.Join(root, "images"))
	metric := regexp.MustCompile(`(?:d8_istio|metadata_exporter|api_proxy)_[a-z_]+`)
	for _, file := range files {
		document, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var groups []alertGroup
		if err := yaml.UnmarshalStrict(document, &groups); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, rule := range groups[0].Rules {
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || rule.Labels["severity_level"] == "" {
				t.Errorf("%s does not say what happened, what to do, or how bad it is", rule.Alert)
			}
			// A switched-off federation has no series, and that is no reason for an alert.
			if strings.Contains(rule.Expr, "absent") || strings.Contains(rule.Expr, "vector(") || strings.Contains(rule.Expr, "unless") {
				t.Errorf("%s may fire without a series: %s", rule.Alert, rule.Expr)
			}
			names := metric.FindAllString(rule.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s asks for no metric of the module: %s", rule.Alert, rule.Expr)
			}
			for _, name := range names {
				// The programs' metrics are named without their namespace in the code.
				inCode := strings.TrimPrefix(strings.TrimPrefix(name, "metadata_exporter_"), "api_proxy_")
				if !strings.Contains(sources, `"`+inCode+`"`) {
					t.Errorf("%s asks for %s, which nothing exports", rule.Alert, name)
				}
			}
		}
	}
}

func sourceCode(t *testing.T, dir string) string {
	t.Helper()
	var code strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		code.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return code.String()
}
