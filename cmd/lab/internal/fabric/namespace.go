package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
)

// namespace is a network namespace of this process' own. Threads enter it; the
// sockets that they make there belong to it, whichever thread uses them later.
type namespace struct {
	handle netns.NsHandle
	// outside is where this process is at home.
	outside netns.NsHandle
}

func newNamespace() (*namespace, error) {
	outside, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("open this process' network namespace: %w", err)
	}
	n := &namespace{handle: netns.None(), outside: outside}
	err = onThread(func() error {
		if n.handle, err = netns.New(); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		return netns.Set(outside)
	})
	return n, err
}

// do calls the function on a thread that is in the namespace.
func (n *namespace) do(call func() error) error {
	return onThread(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("enter the fabric's network namespace: %w", err)
		}
		return errors.Join(call(), netns.Set(n.outside))
	})
}

// onThread calls the function on a thread of its own. A thread that may be in
// the wrong namespace afterwards is not given back to the runtime: it ends.
func onThread(call func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := call()
		if err == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// forward lets packets pass from link to link. CNI plugins switch that on for a node, too, with its first Pods;
// a node that forwards from its start does not depend on how they do it.
func (n *namespace) forward() error {
	if err := n.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }); err != nil {
		return fmt.Errorf("switch forwarding on: %w", err)
	}
	return nil
}

// path by which another process can enter the namespace while this one lives.
func (n *namespace) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.handle))
}

func (n *namespace) close() error {
	return errors.Join(n.handle.Close(), n.outside.Close())
}

func (n *namespace) listen(address string) (listener net.Listener, err error) {
	err = n.do(func() error {
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener, err
}

func (n *namespace) listenPacket(address string) (connection net.PacketConn, err error) {
	err = n.do(func() error {
		connection, err = net.ListenPacket("udp", address)
		return err
	})
	return connection, err
}

// dial connects to an address: a name would be looked up on another thread.
func (n *namespace) dial(ctx context.Context, address string) (connection net.Conn, err error) {
	var failure error
	err = n.do(func() error {
		connection, failure = (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return nil // the thread is fine
	})
	return connection, errors.Join(err, failure)
}

// run a program in the namespace to its end.
func (n *namespace) run(ctx context.Context, input, program string, args ...string) error {
	var output []byte
	var failure error
	err := n.do(func() error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Stdin = strings.NewReader(input)
		output, failure = cmd.CombinedOutput()
		return nil
	})
	if err = errors.Join(err, failure); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
