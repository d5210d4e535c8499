package federation

// Step is what has to happen to one object.
type Step string

// Steps.
const (
	// Leave: it is as wanted, nobody wants it and it is somebody else's, or it is on its way out.
	Leave  Step = "leave"
	Create Step = "create"
	// Bring: it is the module's and differs.
	Bring  Step = "update"
	Remove Step = "delete"
	// Taken: it is wanted, and its name belongs to an object of somebody else.
	Taken Step = "taken"
)

// Presence is what is known of an object that is there.
type Presence struct {
	// Peer is the value of PeerAnnotation; Managed is true when ManagedByLabel is right.
	Peer    string `json:"peer"`
	Managed bool   `json:"managed"`
	// Deleting is true for an object that has a deletion timestamp.
	Deleting bool `json:"deleting,omitempty"`
}

// Decide tells what has to happen to an object that is wanted or not, and there
// or not (nil). same tells whether what is there is what is wanted; it is asked
// only when both are. Objects without the module's label are somebody else's
// and never touched; those on their way out are left alone until they are gone.
func Decide(wanted bool, found *Presence, same func() bool) Step {
	switch {
	case found == nil && wanted:
		return Create
	case found == nil || found.Deleting:
		return Leave
	case !wanted && found.Managed:
		return Remove
	case !wanted:
		return Leave
	case !found.Managed:
		return Taken
	case !same():
		return Bring
	}
	return Leave
}
