package federation

// Step is what has to happen to one object.
type Step string

// Steps.
const (
	// Leave an object that is as wanted, an unwanted one of another owner, and one that is being deleted.
	Leave  Step = "leave"
	Create Step = "create"
	// Update an object of the module that differs.
	Update Step = "update"
	Delete Step = "delete"
	// NameConflict: the object is wanted, and its name belongs to another owner's.
	NameConflict Step = "name conflict"
)

// State is what is known of an object that exists.
type State struct {
	// Peer is the value of PeerAnnotation; Managed is true when ManagedByLabel is right.
	Peer    string `json:"peer"`
	Managed bool   `json:"managed"`
	// Deleting is true for an object that has a deletion timestamp.
	Deleting bool `json:"deleting,omitempty"`
}

// Decide returns what has to happen to an object that is wanted or not, and exists
// or not (nil). same says whether the existing object is the wanted one; it is called
// only when both exist. Objects without the module's label belong to another owner
// and are never changed; those that are being deleted are left alone until they are.
func Decide(wanted bool, found *State, same func() bool) Step {
	switch {
	case found == nil && wanted:
		return Create
	case found == nil || found.Deleting:
		return Leave
	case !wanted && found.Managed:
		return Delete
	case !wanted:
		return Leave
	case !found.Managed:
		return NameConflict
	case !same():
		return Update
	}
	return Leave
}
