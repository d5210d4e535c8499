package hooks

import (
	sdk "github.com/deckhouse/module-sdk/pkg"
	"k8s.io/apimachinery/pkg/api/equality"
)

// writeStatus makes resource's status what it should be; equal is silent, and a
// mere contact writes its times alone. It returns whether it wrote.
//
// current is false when another status may have been written by now than resource shows.
func (k joinKind[R, S]) writeStatus(in *sdk.HookInput, resource R, current bool, status S) (wrote bool, err error) {
	before := k.show(&resource)
	if equality.Semantic.DeepEqual(*before.status, status) {
		return false, nil
	}
	wanted := resource
	after := k.show(&wanted)
	*after.status = status
	of := statusOf{kind: k.kind, name: before.meta.Name, uid: before.meta.UID}
	if k.differOnlyInContact(resource, wanted) {
		of.writeContact(in, *after.publicContact, *after.privateContact)
		return true, nil
	}
	stored, err := k.packed(status)
	if err != nil {
		return false, err
	}
	var last *known
	if current {
		shown, err := k.packed(*before.status)
		if err != nil {
			return false, err
		}
		last = &known{shown, before.digest}
	}
	if err := of.replace(in, last, stored); err != nil {
		return false, err
	}
	of.sayTransition(in, *before.conditions, *after.conditions)
	return true, nil
}

// packed is a status as it is written.
func (k joinKind[R, S]) packed(status S) (S, error) {
	if k.pack == nil {
		return status, nil
	}
	return k.pack(status)
}

// differOnlyInContact takes its arguments by value: it changes the copy.
func (k joinKind[R, S]) differOnlyInContact(from, to R) bool {
	left, right := k.show(&from), k.show(&to)
	*left.publicContact, *left.privateContact = *right.publicContact, *right.privateContact
	return equality.Semantic.DeepEqual(*left.status, *right.status)
}
