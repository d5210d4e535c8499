package names

import "strings"

// Embedded is the name of the module that Deckhouse's platform has in itself, and
// the name that this module has unless it is built for such a platform.
const Embedded = "istio"

// module is set by the linker (-X) in programs of a bundle that has another name.
var module = "istio"

// Module is the name that Deckhouse knows this module by: that of its ModuleConfig,
// of its Helm release, and the value of ModuleLabel.
func Module() string { return module }

// FolderOf is the module's folder in the operator's image, below modules/. The
// number is the place among modules, which the operator does not need: there are no others.
func FolderOf(module string) string { return "110-" + module }

// ValuesPath is where Deckhouse stores a value of the module: a path such as
// "federation.enabled", below the module's name in camel case.
func ValuesPath(path string) string { return ValuesKey() + "." + path }

// ValuesKey is the module's name as a key of values.
func ValuesKey() string { return KeyOf(module) }

// KeyOf is a module's name as a key of values, as Deckhouse derives it.
func KeyOf(module string) string {
	words := strings.Split(module, "-")
	for index, word := range words[1:] {
		if word != "" {
			words[index+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}
