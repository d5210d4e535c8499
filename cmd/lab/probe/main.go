// Command probe is what the lab's image lab.local/probe:1 runs inside Pods: it
// calls a URL again and again, or opens TLS as a stranger, and prints what
// happened as a line of JSON each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/probe"
)

const usage = `Usage:
  probe call [--interval 10ms] [--timeout 2s] [--for 1m] [--until-eof] URL
      calls the URL, each time on a new connection, and prints a line whenever the outcome
      changes: the time, the answer's status or the error, and the SPIFFE IDs of both sides;
      with --until-eof it ends with its input, too
  probe tls [--alpn istio] [--identity SPIFFE-ID] [--timeout 5s] --server-name NAME ADDRESS
      opens TLS to host:port as an unknown client, without a certificate or with one that
      claims the identity under a root of its own, and prints the server's reaction
  probe load [--rate 200] [--connections 50] [--streams 0] [--message-interval 100ms] [--timeout 5s] [--for 1h] URL [HOST:PORT]
      holds a load of requests to the URL, on connections that stay open, and of gRPC streams to the address;
      prints each failure, and the totals every second
  probe serve [--http :8080] [--grpc :7070]
      answers what probe load sends
  probe wait
      does nothing until a signal ends it
`

// Exit codes.
const (
	exitOK = iota
	exitRejected
	exitUsage
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(args) == 0 {
		args = []string{"help"}
	}
	switch args[0] {
	case "call":
		return call(ctx, args[1:])
	case "tls":
		return stranger(ctx, args[1:])
	case "load":
		return load(ctx, args[1:])
	case "serve":
		return serve(ctx, args[1:])
	case "wait":
		<-ctx.Done()
		return exitOK
	}
	fmt.Fprint(os.Stderr, usage)
	return exitUsage
}

func call(ctx context.Context, args []string) int {
	flags := newFlags()
	interval := flags.Duration("interval", 10*time.Millisecond, "")
	timeout := flags.Duration("timeout", 2*time.Second, "")
	duration := flags.Duration("for", time.Minute, "")
	untilEOF := flags.Bool("until-eof", false, "")
	url, ok := parse(flags, args)
	if !ok {
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	if *untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	probe.Caller{URL: url, Interval: *interval, Timeout: *timeout}.Run(ctx, func(call probe.Call) {
		if !print(call) {
			cancel() // nobody reads the lines any longer
		}
	})
	return exitOK
}

// stranger's exit code is 0 when the server goes on to talk to it.
func stranger(ctx context.Context, args []string) int {
	flags := newFlags()
	name := flags.String("server-name", "", "")
	protocols := flags.String("alpn", "istio", "")
	identity := flags.String("identity", "", "")
	timeout := flags.Duration("timeout", 5*time.Second, "")
	address, ok := parse(flags, args)
	if !ok {
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	who := probe.Stranger{Address: address, ServerName: *name, Identity: *identity}
	if *protocols != "" {
		who.Protocols = strings.Split(*protocols, ",")
	}
	verdict := who.Try(ctx)
	print(verdict)
	if verdict.Accepted {
		return exitOK
	}
	return exitRejected
}

func load(ctx context.Context, args []string) int {
	flags := newFlags()
	rate := flags.Float64("rate", 200, "")
	connections := flags.Int("connections", 50, "")
	streams := flags.Int("streams", 0, "")
	interval := flags.Duration("message-interval", 100*time.Millisecond, "")
	timeout := flags.Duration("timeout", 5*time.Second, "")
	duration := flags.Duration("for", time.Hour, "")
	if flags.Parse(args) != nil {
		return exitUsage
	}
	if flags.NArg() < 1 || flags.NArg() > 2 || *rate <= 0 || *connections < 1 {
		flags.Usage()
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	probe.Load{
		URL: flags.Arg(0), Rate: *rate, Connections: *connections,
		StreamAddress: flags.Arg(1), Streams: *streams, MessageInterval: *interval, Timeout: *timeout,
	}.Run(ctx, func(event probe.LoadEvent) {
		if !print(event) {
			cancel() // nobody reads the lines any longer
		}
	})
	return exitOK
}

func serve(ctx context.Context, args []string) int {
	flags := newFlags()
	web := flags.String("http", ":8080", "")
	streams := flags.String("grpc", ":7070", "")
	if flags.Parse(args) != nil {
		return exitUsage
	}
	webListener, webErr := net.Listen("tcp", *web)
	streamListener, streamErr := net.Listen("tcp", *streams)
	err := errors.Join(webErr, streamErr)
	if err == nil {
		err = probe.Serve(ctx, webListener, streamListener)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return exitRejected
	}
	return exitOK
}

func newFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	return flags
}

// parse returns the only argument besides flags.
func parse(flags *flag.FlagSet, args []string) (string, bool) {
	if flags.Parse(args) != nil {
		return "", false
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return "", false
	}
	return flags.Arg(0), true
}

func print(line any) bool {
	return json.NewEncoder(os.Stdout).Encode(line) == nil
}
