package demo

import "fmt"

// sayWhatToTry ends the demonstration of federation: each of these commands works.
func (s *stage) sayWhatToTry(gateway string) {
	s.print("")
	s.print("To try by hand:")
	s.command(&s.consumer, "-n %s exec deploy/client -c client -- client %s", namespace, s.url())
	s.command(&s.consumer, "-n stranger exec deploy/stranger -- probe tls --server-name %s %s", s.serverName(), gateway)
	s.command(&s.consumer, "get istiofederations")
	s.command(&s.consumer, "-n d8-istio get serviceentries,destinationrules")
	s.command(&s.publisher, "-n %s logs deploy/web -c web --tail 3", namespace)
	s.command(&s.publisher, "-n %s label service %s %s-", namespace, service, publishLabel)
	s.command(&s.publisher, "-n %s label service %s %s=", namespace, service, publishLabel)
}

// sayWhatToTryInOneMesh ends the demonstration of a multicluster.
func (s *stage) sayWhatToTryInOneMesh() {
	s.print("")
	s.print("To try by hand:")
	s.command(&s.consumer, "-n %s exec deploy/client -c client -- client --count 10 %s", namespace, s.url())
	s.command(&s.consumer, "get istiomulticlusters")
	s.command(&s.consumer, "-n %s scale deployment %s --replicas 0", namespace, service)
	s.command(&s.consumer, "-n %s scale deployment %s --replicas 1", namespace, service)
}

// command for a person's shell.
func (s *stage) command(in *cluster, format string, args ...any) {
	s.print("  %s --kubeconfig %s %s", s.kubectl, in.kubeconfig, fmt.Sprintf(format, args...))
}
