package settings

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

type tracing struct {
	Collector struct {
		Zipkin struct {
			Address string `json:"address"`
		} `json:"zipkin"`
	} `json:"collector"`
	Kiali struct {
		JaegerURLForUsers  string `json:"jaegerURLForUsers"`
		JaegerGRPCEndpoint string `json:"jaegerGRPCEndpoint"`
	} `json:"kiali"`
}

func (t tracing) check() []error {
	problems := checkURL("tracing.kiali.jaegerURLForUsers", t.Kiali.JaegerURLForUsers)
	problems = append(problems, checkURL("tracing.kiali.jaegerGRPCEndpoint", t.Kiali.JaegerGRPCEndpoint)...)
	if err := t.checkCollector(); err != nil {
		problems = append(problems, fmt.Errorf("tracing.collector.zipkin.address: %w", err))
	}
	return problems
}

func (t tracing) checkCollector() error {
	address := t.Collector.Zipkin.Address
	if address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not a host and a port: write them as zipkin.tracing.svc:9411 or [2001:db8::7]:9411", address)
	}
	if err := checkPort(port); err != nil {
		return err
	}
	// A name without a dot means another host in each namespace.
	if _, err := netip.ParseAddr(host); err != nil && !strings.Contains(host, ".") {
		return fmt.Errorf("%q is not a complete name: write a Service of the cluster as <name>.<namespace>.svc", host)
	}
	return nil
}
