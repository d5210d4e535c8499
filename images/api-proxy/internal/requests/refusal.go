package requests

// Reason of a refusal: a label of metrics and a word in the audit line.
type Reason string

// Why requests are refused here.
const (
	// ReasonPath: the target is not in the one form that is understood, or the API has no such path.
	ReasonPath Reason = "path"
	// ReasonQuery: a parameter is unknown, there twice, or has an impossible value.
	ReasonQuery Reason = "query"
	// ReasonVerb: reading is allowed, this is not.
	ReasonVerb Reason = "verb"
	// ReasonResource is not in the table.
	ReasonResource Reason = "resource"
	// ReasonSubresource: none may be used.
	ReasonSubresource Reason = "subresource"
	// ReasonSecret is a Secret asked for by name, or a verb that changes one.
	ReasonSecret Reason = "secret"
)

// Refusal is a request that ends here.
type Refusal struct {
	Reason Reason
	// Code is the HTTP status.
	Code int
	// Message goes to the caller; it tells of the rule, not of the cluster.
	Message string
}

func (r *Refusal) Error() string { return r.Message }

func forbid(reason Reason, code int, message string) *Refusal {
	return &Refusal{Reason: reason, Code: code, Message: message}
}
