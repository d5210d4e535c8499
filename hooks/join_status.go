package hooks

import (
	sdk "github.com/deckhouse/module-sdk/pkg"
	"k8s.io/apimachinery/pkg/api/equality"
)

// writeStatus makes resource's status what it should be; equal is silent, and a
// mere contact writes its times alone.
func (k joinKind[R, S]) writeStatus(in *sdk.HookInput, resource R, status S) error {
	before := k.show(&resource)
	if equality.Semantic.DeepEqual(*before.status, status) {
		return nil
	}
	wanted := resource
	after := k.show(&wanted)
	*after.status = status
	of := statusOf{kind: k.kind, name: before.meta.Name, uid: before.meta.UID}
	if k.differOnlyInContact(resource, wanted) {
		of.writeContact(in, *after.publicContact, *after.privateContact)
		return nil
	}
	if err := of.replace(in, status); err != nil {
		return err
	}
	of.sayTransition(in, *before.conditions, *after.conditions)
	return nil
}

// differOnlyInContact takes its arguments by value: it changes the copy.
func (k joinKind[R, S]) differOnlyInContact(from, to R) bool {
	left, right := k.show(&from), k.show(&to)
	*left.publicContact, *left.privateContact = *right.publicContact, *right.privateContact
	return equality.Semantic.DeepEqual(*left.status, *right.status)
}
