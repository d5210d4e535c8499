package hooks

// gauge is the value of a metric that says whether something is so.
func gauge(so bool) float64 {
	if so {
		return 1
	}
	return 0
}
