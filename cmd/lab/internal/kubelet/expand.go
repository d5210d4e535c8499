package kubelet

import "strings"

// expand replaces $(NAME) in a container's command, args and env values by the
// variable's value, as the Pod API defines it: an unknown name stays as it is
// written, and $$ is a dollar sign that starts nothing.
func expand(text string, variables map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				out.WriteString(text[i:])
				return out.String()
			}
			reference := text[i : i+end+1]
			if value, ok := variables[reference[2:len(reference)-1]]; ok {
				out.WriteString(value)
			} else {
				out.WriteString(reference)
			}
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}
