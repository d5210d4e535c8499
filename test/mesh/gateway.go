package mesh

import "fmt"

// PassthroughSNI is the server name by which a gateway with AUTO_PASSTHROUGH knows a port of a Service:
// outbound_.80_._.api.shop.svc.cluster.local.
func PassthroughSNI(port int, host string) string {
	return fmt.Sprintf("outbound_.%d_._.%s", port, host)
}
