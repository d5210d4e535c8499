package guarded

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/deckhouse-mesh/istio/test/support/remotereadertest"
)

// Rights of a proxy's ServiceAccount.
type Rights int

const (
	// Everything is cluster-admin: nothing stands between a caller and the API
	// server but the proxy itself.
	Everything Rights = iota + 1
	// AsRendered are the rights of the module's own roles.
	AsRendered
)

// Account makes a ServiceAccount with those rights and returns a configuration
// to ask the API server directly with its token, which is valid for hours.
func (c *Cluster) Account(ctx context.Context, name string, rights Rights) (*rest.Config, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.Client.CoreV1().ServiceAccounts(Namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create the ServiceAccount %s: %w", name, err)
	}
	if err := c.grant(ctx, name, rights); err != nil {
		return nil, fmt.Errorf("grant rights to the ServiceAccount %s: %w", name, err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](12 * 60 * 60)}}
	token, err := c.Client.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask for a token of the ServiceAccount %s: %w", name, err)
	}
	config := rest.AnonymousClientConfig(c.Admin)
	config.Host = strings.TrimSuffix(config.Host, "/")
	config.BearerToken = token.Status.Token
	config.QPS = -1
	return config, nil
}

func (c *Cluster) grant(ctx context.Context, account string, rights Rights) error {
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: Namespace, Name: account}}
	role := "cluster-admin"
	var problems []error
	create := func(err error) {
		if err != nil && !apierrors.IsAlreadyExists(err) {
			problems = append(problems, err)
		}
	}
	rbac := c.Client.RbacV1()
	named := metav1.ObjectMeta{Name: account}
	if rights == AsRendered {
		role = account
		inCluster := append(remotereadertest.ClusterRights(), remotereadertest.OwnClusterRights()...)
		_, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: named, Rules: inCluster}, metav1.CreateOptions{})
		create(err)
		inNamespace := append(remotereadertest.ControlPlaneRights(), rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{peersSecret}, Verbs: []string{"get", "list", "watch"},
		})
		_, err = rbac.Roles(Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: named, Rules: inNamespace}, metav1.CreateOptions{})
		create(err)
		_, err = rbac.RoleBindings(Namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: named, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
		}, metav1.CreateOptions{})
		create(err)
	}
	_, err := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: named, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}, metav1.CreateOptions{})
	create(err)
	return errors.Join(problems...)
}
