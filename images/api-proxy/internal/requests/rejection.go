package requests

// Reason of a rejection: a label of metrics and a word in the audit line.
type Reason string

// Why requests are rejected here.
const (
	// ReasonPath: the target is not in its canonical form, or the API has no such path.
	ReasonPath Reason = "path"
	// ReasonQuery: a parameter is unknown, occurs twice, or has an invalid value.
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

// Rejection is why a request is not forwarded.
type Rejection struct {
	Reason Reason
	// Code is the HTTP status.
	Code int
	// Message goes to the caller; it names the rule and reveals nothing of the cluster.
	Message string
}

func (r *Rejection) Error() string { return r.Message }

func reject(reason Reason, code int, message string) *Rejection {
	return &Rejection{Reason: reason, Code: code, Message: message}
}
