package fabric

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

const (
	dnsPort = 53
	// nameTTL of public names, in seconds: short, as they are where addresses change.
	nameTTL = 5
	// maxPacket is what a DNS server must take without negotiation, and more than a question needs.
	maxPacket = 512
	// dnsIdle ends a TCP connection on which nothing is asked.
	dnsIdle = 10 * time.Second
)

// ServeNames answers questions for the lab's public names at every gateway of
// the fabric, and at its own address, until the context ends.
func (f *Fabric) ServeNames(ctx context.Context) error {
	names := f.plan.PublicNames()
	addresses := []netip.Addr{plan.FabricAddress}
	for i := range f.plan.Clusters {
		addresses = append(addresses, f.plan.Clusters[i].Gateway)
	}
	for _, address := range addresses {
		server := netip.AddrPortFrom(address, dnsPort)
		packets, err := f.namespace.listenPacket(server.String())
		if err != nil {
			return fmt.Errorf("serve public names: %w", err)
		}
		listener, err := f.Listen(server)
		if err != nil {
			return errors.Join(fmt.Errorf("serve public names: %w", err), packets.Close())
		}
		context.AfterFunc(ctx, func() { _, _ = packets.Close(), listener.Close() })
		go servePackets(packets, names)
		go serveStreams(listener, names)
	}
	return nil
}

func servePackets(packets net.PacketConn, names map[string]netip.Addr) {
	buffer := make([]byte, maxPacket)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply, err := answer(buffer[:n], names); err == nil {
			_, _ = packets.WriteTo(reply, from)
		}
	}
}

func serveStreams(listener net.Listener, names map[string]netip.Addr) {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go serveStream(connection, names)
		}
	}
}

// serveStream answers on a TCP connection, where two bytes before each message are its length.
func serveStream(connection net.Conn, names map[string]netip.Addr) {
	defer func() { _ = connection.Close() }()
	for {
		_ = connection.SetDeadline(time.Now().Add(dnsIdle))
		var length [2]byte
		if _, err := io.ReadFull(connection, length[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(connection, question); err != nil {
			return
		}
		reply, err := answer(question, names)
		if err != nil {
			return
		}
		if _, err := connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// answer a question: with the address of a public name, with nothing when
// another kind of record is requested, and that the name does not exist otherwise.
func answer(packet []byte, names map[string]netip.Addr) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(packet)
	if err != nil {
		return nil, err
	}
	if header.Response {
		return nil, errors.New("an answer, not a question")
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: header.ID, Response: true, OpCode: header.OpCode,
			Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{question},
	}
	address, found := lookUp(question.Name.String(), names)
	switch {
	case !found:
		reply.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA && question.Class == dnsmessage.ClassINET:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: nameTTL},
			Body:   &dnsmessage.AResource{A: address.As4()},
		}}
	}
	return reply.Pack()
}

// lookUp a name: it is a public domain, or lies below one.
func lookUp(name string, names map[string]netip.Addr) (netip.Addr, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for {
		if address, found := names[name]; found {
			return address, true
		}
		_, parent, found := strings.Cut(name, ".")
		if !found {
			return netip.Addr{}, false
		}
		name = parent
	}
}

// ResolvConf is a resolv.conf that names the server at that address.
func ResolvConf(server netip.Addr) string {
	return fmt.Sprintf("nameserver %s\noptions timeout:2 attempts:2\n", server)
}
