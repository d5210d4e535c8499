package requests

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxQuery = 4096
	maxValue = 2048

	// MaxWatch bounds the lifetime of a watch, and so how long a credential can have
	// expired before its owner must prove itself again. A watch that asks for more, or
	// for nothing, gets this.
	MaxWatch = 30 * time.Minute
)

// parameter reports whether a value is valid.
type parameter func(value string) bool

// known are the parameters of each verb that clients of the API library send.
// Others may have an effect that was not considered here, and are rejected.
var known = map[Verb]map[string]parameter{
	Get: {"resourceVersion": resourceVersion, "timeout": duration},
	List: {
		"labelSelector": selector, "fieldSelector": selector, "limit": number, "continue": continuation,
		"resourceVersion": resourceVersion, "resourceVersionMatch": matching("|Exact|NotOlderThan"),
		"timeoutSeconds": number, "timeout": duration, "watch": flag, "allowWatchBookmarks": flag,
	},
	Watch: {
		"labelSelector": selector, "fieldSelector": selector,
		"resourceVersion": resourceVersion, "resourceVersionMatch": matching("|NotOlderThan"),
		"timeoutSeconds": number, "timeout": duration, "watch": flag, "allowWatchBookmarks": flag, "sendInitialEvents": flag,
	},
	Create:   {"timeout": duration},
	Discover: {"timeout": duration},
}

func parseQuery(raw string) (url.Values, *Rejection) {
	if len(raw) > maxQuery {
		return nil, badQuery("the query is too long")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' || r == '\\' }) {
		return nil, badQuery("the query has characters that must be escaped")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badQuery("the query cannot be parsed")
	}
	for name, all := range values {
		if len(all) != 1 {
			return nil, badQuery("a parameter occurs more than once")
		}
		for _, text := range []string{name, all[0]} {
			if len(text) > maxValue || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				return nil, badQuery("a parameter is too long, or has characters that are not printable ASCII")
			}
		}
	}
	return values, nil
}

// allowParameters returns the parameters to forward.
func allowParameters(verb Verb, values url.Values) (url.Values, *Rejection) {
	allowed := url.Values{}
	for name, value := range values {
		valid, ok := known[verb][name]
		if !ok {
			return nil, badQuery("the query has a parameter that is not allowed for the verb " + string(verb))
		}
		if !valid(value[0]) {
			return nil, badQuery("invalid value for parameter " + name)
		}
		allowed[name] = value
	}
	if verb == Watch {
		allowed.Set("watch", "true")
		seconds := int(MaxWatch / time.Second)
		if asked, err := strconv.Atoi(allowed.Get("timeoutSeconds")); err == nil && asked > 0 && asked < seconds {
			seconds = asked
		}
		allowed.Set("timeoutSeconds", strconv.Itoa(seconds))
	}
	return allowed, nil
}

func badQuery(message string) *Rejection { return reject(ReasonQuery, http.StatusBadRequest, message) }

// boolean reads a parameter that may be absent. The API server reads nearly every
// value as true, even an empty one; here it must be unambiguous.
func boolean(values url.Values, name string) (bool, *Rejection) {
	if !values.Has(name) {
		return false, nil
	}
	value := values.Get(name)
	if !flag(value) {
		return false, badQuery("invalid value for parameter " + name + ": use true or false")
	}
	return value == "true" || value == "1", nil
}

// selectedName is the name in a field selector that selects by nothing but a name.
func selectedName(values url.Values) string {
	name, found := strings.CutPrefix(values.Get("fieldSelector"), "metadata.name=")
	if !found || !plain(name) {
		return ""
	}
	return name
}

var (
	flag = matching("true|false|1|0")
	// number has at most nine digits, so it fits everywhere.
	number = matching("[0-9]{1,9}")
	// resourceVersion is a number wherever etcd is the store. It can be empty.
	resourceVersion = matching("[0-9]{0,20}")
	// continuation is base64url, as the API server makes it.
	continuation = matching("[0-9A-Za-z_=-]*")
)

func matching(whole string) parameter { return regexp.MustCompile("^(" + whole + ")$").MatchString }

// selector is not parsed here: it only narrows what is allowed anyway.
func selector(value string) bool { return len(value) <= maxValue }

func duration(value string) bool {
	parsed, err := time.ParseDuration(value)
	return err == nil && parsed >= 0
}
