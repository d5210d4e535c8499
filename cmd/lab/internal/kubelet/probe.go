package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// newProbe turns a probe of the Pod API into a function that runs it once
// against the Pod's real address.
func newProbe(probe *corev1.Probe, container *corev1.Container, address netip.Addr) (func(context.Context) error, error) {
	timeout := time.Duration(max(1, probe.TimeoutSeconds)) * time.Second
	switch {
	case probe.HTTPGet != nil:
		port, err := portOf(probe.HTTPGet.Port, container)
		if err != nil {
			return nil, err
		}
		return httpProbe(probe.HTTPGet, net.JoinHostPort(address.String(), port), timeout), nil
	case probe.TCPSocket != nil:
		port, err := portOf(probe.TCPSocket.Port, container)
		if err != nil {
			return nil, err
		}
		return tcpProbe(net.JoinHostPort(address.String(), port), timeout), nil
	}
	return nil, errors.New("the lab runs httpGet and tcpSocket probes only")
}

func httpProbe(action *corev1.HTTPGetAction, authority string, timeout time.Duration) func(context.Context) error {
	client := &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nor does the kubelet verify the certificate of what it probes
			DisableKeepAlives: true,
		},
	}
	scheme := strings.ToLower(string(action.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	path := "/" + strings.TrimPrefix(action.Path, "/")
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+authority+path, nil)
		if err != nil {
			return err
		}
		for _, header := range action.HTTPHeaders {
			request.Header.Add(header.Name, header.Value)
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode < 200 || response.StatusCode >= 400 {
			return fmt.Errorf("GET %s: %s", path, response.Status)
		}
		return nil
	}
}

func tcpProbe(address string, timeout time.Duration) func(context.Context) error {
	dialer := &net.Dialer{Timeout: timeout}
	return func(ctx context.Context) error {
		connection, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

func portOf(port intstr.IntOrString, container *corev1.Container) (string, error) {
	if port.Type == intstr.Int {
		return strconv.Itoa(port.IntValue()), nil
	}
	for _, candidate := range container.Ports {
		if candidate.Name == port.StrVal {
			return strconv.Itoa(int(candidate.ContainerPort)), nil
		}
	}
	return "", fmt.Errorf("container %q has no port named %q", container.Name, port.StrVal)
}
