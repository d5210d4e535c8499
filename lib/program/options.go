package program

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// Options are the flags that all programs have.
type Options struct {
	TelemetryAddress       string
	Namespace, ClusterUUID string
	LogLevel               slog.Level
	// Listener is the one for peers; nil in a program that answers nobody.
	Listener *Listener
}

// Listener is where a program answers peers, and how it proves itself to them.
type Listener struct {
	Address, TLSDir, IngressClientCA string
}

// Description is how a program describes itself in its help.
type Description struct {
	// Name of the program.
	Name string
	// Short is one line; Long needs not repeat how Kubernetes is accessed.
	Short, Long string
	// Namespace tells what is in the namespace of --namespace.
	Namespace string
	// Check returns what is wrong with the program's own flags; nil for a program that takes any value of them.
	Check func() error
}

// NewListeningCommand makes the command of a program that answers peers, with the flags of options.
func NewListeningCommand(describe Description, options *Options, run func(context.Context, *Program) error) *cobra.Command {
	command := NewCommand(describe, options, run)
	listener := &Listener{}
	options.Listener = listener
	flags := command.Flags()
	flags.StringVar(&listener.Address, "listen-address", ":8443", "address of the TLS listener for peers")
	flags.StringVar(&listener.TLSDir, "tls-dir", "/etc/"+describe.Name+"/tls", "directory with tls.crt and tls.key of the listener, read again when they change")
	flags.StringVar(&listener.IngressClientCA, "ingress-client-ca", "", "PEM file with the authority of the ingress controller's client certificate; a connection with such a certificate may name its caller in the header ssl-client-cert")
	return command
}

// NewCommand makes the command of a program that answers no peers, with the flags of options.
func NewCommand(describe Description, options *Options, run func(context.Context, *Program) error) *cobra.Command {
	command := &cobra.Command{
		Use: describe.Name, Short: describe.Short,
		Long: describe.Long + `

Kubernetes is accessed by the default rules of kubectl: KUBECONFIG, else the Pod's own ServiceAccount.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if describe.Check != nil {
				if err := describe.Check(); err != nil {
					return err
				}
			}
			p, err := options.Prepare(describe.Name, os.Stderr)
			if err != nil {
				return err
			}
			return run(command.Context(), p)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.TelemetryAddress, "telemetry-address", ":8080", "address of the HTTP listener for /healthz, /readyz and /metrics")
	flags.StringVar(&options.Namespace, "namespace", names.Namespace, describe.Namespace)
	flags.StringVar(&options.ClusterUUID, "cluster-uuid", "", "UUID of this cluster: the audience of tokens that peers send, and the subject of those that they are sent")
	flags.TextVar(&options.LogLevel, "log-level", options.LogLevel, "least level of log lines: debug, info, warn or error")
	RequireFlags(command, "cluster-uuid")
	return command
}

// RequireFlags makes the command fail where one of those flags is not given.
func RequireFlags(command *cobra.Command, names ...string) {
	for _, name := range names {
		if err := command.MarkFlagRequired(name); err != nil {
			panic(err) // only for a flag that is not defined
		}
	}
}

func (o Options) check() error {
	switch {
	case o.ClusterUUID == "":
		return errors.New("--cluster-uuid must not be empty")
	case o.Namespace == "":
		return errors.New("--namespace must not be empty")
	default:
		return nil
	}
}
