package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
)

// checkRanges rejects texts that only look like a range of IP addresses.
func checkRanges(name string, ranges []string) []error {
	var problems []error
	for index, text := range ranges {
		if _, err := netip.ParsePrefix(text); err != nil {
			problems = append(problems, fmt.Errorf("%s[%d]: %q is not a range of IP addresses: write it as 10.0.0.0/8 or fd00::/8", name, index, text))
		}
	}
	return problems
}

// checkPorts rejects texts that only look like a TCP port.
func checkPorts(name string, ports []string) []error {
	var problems []error
	for index, text := range ports {
		if err := checkPort(text); err != nil {
			problems = append(problems, fmt.Errorf("%s[%d]: %w", name, index, err))
		}
	}
	return problems
}

func checkPort(text string) error {
	if port, err := strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
		return fmt.Errorf("%q is not a TCP port: use a number from 1 to 65535", text)
	}
	return nil
}

// checkURL rejects a URL that a browser or a client could not open; an empty text is fine.
func checkURL(name, text string) []error {
	if text == "" {
		return nil
	}
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		// The library's own sentence repeats the text.
		var reason *url.Error
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return []error{fmt.Errorf("%s: %q is not a URL: %w", name, text, err)}
	case parsed.Host == "":
		return []error{fmt.Errorf("%s: %q has no host: write it as https://host/path", name, text)}
	}
	return nil
}
