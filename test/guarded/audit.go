package guarded

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// auditPolicy has the API server write down, before it answers, every request
// of anyone but itself and the administrator.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  users: ["system:apiserver"]
- level: None
  userGroups: ["system:masters"]
- level: Metadata
`

// Arrival is a request as the API server has understood it.
type Arrival struct {
	AuditID string `json:"auditID"`
	// Verb is the API's: list, not GET.
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	UserAgent  string `json:"userAgent"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ImpersonatedUser *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	ObjectRef struct {
		APIGroup    string `json:"apiGroup"`
		APIVersion  string `json:"apiVersion"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
}

func (c *Cluster) auditLog() string { return filepath.Join(c.dir, "audit.log") }

// Arrivals are all requests so far that were not the administrator's, in the
// order in which they came.
func (c *Cluster) Arrivals() ([]Arrival, error) {
	content, err := os.ReadFile(c.auditLog())
	if err != nil {
		return nil, fmt.Errorf("read the API server's audit log: %w", err)
	}
	var arrivals []Arrival
	seen := map[string]bool{}
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for scanner.Buffer(nil, 1<<20); scanner.Scan(); {
		var arrival Arrival
		if err := json.Unmarshal(scanner.Bytes(), &arrival); err != nil {
			return nil, fmt.Errorf("read the API server's audit log: %w: %s", err, scanner.Bytes())
		}
		if !seen[arrival.AuditID] { // each stage of a request has a line
			seen[arrival.AuditID] = true
			arrivals = append(arrivals, arrival)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("read the API server's audit log: %w", err)
	}
	return arrivals, nil
}
