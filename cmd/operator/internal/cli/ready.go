package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// readyInterval is the time between two questions, questionTimeout that for one answer.
	readyInterval   = time.Second
	questionTimeout = 5 * time.Second
	// answerLimit bounds what is read of an answer.
	answerLimit = 1 << 10
)

// readyCommand waits for another operator, for `helm test`.
func readyCommand() *cobra.Command {
	timeout := time.Minute
	command := &cobra.Command{
		Use: "ready URL", Short: "Wait until an operator that runs elsewhere is ready", Example: "  operator ready http://istio-operator.d8-system.svc:9650",
		Args: func(command *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(command, args); err != nil {
				return usageError{err}
			}
			if address, err := url.Parse(args[0]); err != nil || address.Scheme != "http" || address.Host == "" {
				return usageError{fmt.Errorf("%q is not a URL such as http://istio-operator.d8-system.svc:9650", args[0])}
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), timeout)
			defer cancel()
			if err := awaitReady(ctx, strings.TrimSuffix(args[0], "/")+"/readyz", readyInterval); err != nil {
				return fmt.Errorf("the operator is not ready within %s: %w", timeout, err)
			}
			fmt.Fprintln(command.OutOrStdout(), "the operator is ready")
			return nil
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait")
	return command
}

// awaitReady asks until the answer is 200; the error says what the latest one was.
func awaitReady(ctx context.Context, address string, interval time.Duration) error {
	latest := errors.New("it was not asked")
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		err := askReady(ctx, address)
		if err != nil && ctx.Err() == nil {
			latest = err
		}
		return err == nil, nil
	})
	if err != nil {
		return latest
	}
	return nil
}

func askReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	return fmt.Errorf("it answers %s: %s", response.Status, strings.TrimSpace(string(text)))
}
