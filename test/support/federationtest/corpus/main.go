// Command corpus writes the objects that random peers lead to, one JSON object
// a line, for checks that live in other Go modules (tools/istio-v1x*).
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/deckhouse-mesh/istio/test/support/federationtest"
)

func main() {
	seed := flag.Uint64("seed", 1, "seed of the random peers")
	peers := flag.Int("peers", 100, "number of peers")
	flag.Parse()
	if err := write(*seed, *peers); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func write(seed uint64, peers int) error {
	objects, err := federationtest.Objects(seed, peers)
	if err != nil {
		return err
	}
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	for _, object := range objects {
		if err := encoder.Encode(object.Unstructured()); err != nil {
			return fmt.Errorf("encode %s %s: %w", object.Kind, object.Name, err)
		}
	}
	return output.Flush()
}
