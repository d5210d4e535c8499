package rendertest

const (
	withFederation = "federation: {enabled: true}"
	nodePort       = "{federation: {enabled: true}, alliance: {ingressGateway: {inlet: NodePort}}}"
	traced         = "tracing: {enabled: true, collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}"
	jaeger         = "tracing: {kiali: {jaegerGRPCEndpoint: 'http://jaeger.tracing.svc:16685'}}"
	fixed          = "controlPlane: {resourcesManagement: {mode: Static}}"
	replicated     = "controlPlane: {replicasManagement: {static: {replicas: 3}, hpa: {minReplicas: 2, maxReplicas: 5, metrics: [{type: CPU, targetAverageUtilization: 80}]}}}"
	scaled         = "controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 2, maxReplicas: 5, metrics: [{type: CPU, targetAverageUtilization: 80}]}}}"
	structured     = "dataPlane: {accessLog: {type: JSON}}"
	listening      = "auth: {whitelistSourceRanges: [10.0.0.0/8]}"
	authorizer     = "dataPlane: {extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: a.a.svc, port: 80"
)

// deckhouseKeys has a row for each setting of Deckhouse's own module.
var deckhouseKeys = map[string]deckhouseKey{
	"globalVersion":             {settings: "globalVersion: '1.30'", effect: byHook, hook: "istio_versions"},
	"additionalVersions":        {settings: "additionalVersions: ['1.30']", effect: byHook, hook: "istio_versions"},
	"outboundTrafficPolicyMode": {settings: "outboundTrafficPolicyMode: RegistryOnly"},
	"ingressClass":              {settings: "ingressClass: other", beside: withFederation},
	"federation.enabled":        {settings: withFederation},
	"multicluster.enabled":      {settings: "multicluster: {enabled: true}"},
	"highAvailability":          {settings: "highAvailability: true"},
	"nodeSelector":              {settings: "nodeSelector: {a: b}"},

	"alliance.ingressGateway.inlet":                 {settings: "alliance: {ingressGateway: {inlet: NodePort}}", beside: withFederation},
	"alliance.ingressGateway.nodePort.port":         {settings: "alliance: {ingressGateway: {nodePort: {port: 30443}}}", beside: nodePort},
	"alliance.ingressGateway.advertise[].address":   {settings: "alliance: {ingressGateway: {advertise: [{address: gw.example.com, port: 15443}]}}", effect: byHook, hook: "ingressgateway_addresses"},
	"alliance.ingressGateway.advertise[].port":      {settings: "alliance: {ingressGateway: {advertise: [{address: 172.16.0.5, port: 15443}]}}", effect: byHook, hook: "ingressgateway_addresses"},
	"alliance.ingressGateway.serviceAnnotations":    {settings: "alliance: {ingressGateway: {serviceAnnotations: {a: b}}}", beside: withFederation},
	"alliance.ingressGateway.gatewayPodAnnotations": {settings: "alliance: {ingressGateway: {gatewayPodAnnotations: {a: b}}}", beside: withFederation},
	"alliance.ingressGateway.nodeSelector":          {settings: "alliance: {ingressGateway: {nodeSelector: {a: b}}}", beside: withFederation},

	"alliance.ingressGateway.tolerations[].effect":            {settings: "alliance: {ingressGateway: {tolerations: [{key: a, effect: NoSchedule}]}}", beside: withFederation},
	"alliance.ingressGateway.tolerations[].key":               {settings: "alliance: {ingressGateway: {tolerations: [{key: a}]}}", beside: withFederation},
	"alliance.ingressGateway.tolerations[].operator":          {settings: "alliance: {ingressGateway: {tolerations: [{operator: Exists}]}}", beside: withFederation},
	"alliance.ingressGateway.tolerations[].tolerationSeconds": {settings: "alliance: {ingressGateway: {tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 5}]}}", beside: withFederation},
	"alliance.ingressGateway.tolerations[].value":             {settings: "alliance: {ingressGateway: {tolerations: [{key: a, value: b}]}}", beside: withFederation},

	"controlPlane.nodeSelector":                    {settings: "controlPlane: {nodeSelector: {a: b}}"},
	"controlPlane.tolerations[].effect":            {settings: "controlPlane: {tolerations: [{key: a, effect: NoSchedule}]}"},
	"controlPlane.tolerations[].key":               {settings: "controlPlane: {tolerations: [{key: a}]}"},
	"controlPlane.tolerations[].operator":          {settings: "controlPlane: {tolerations: [{operator: Exists}]}"},
	"controlPlane.tolerations[].tolerationSeconds": {settings: "controlPlane: {tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 5}]}"},
	"controlPlane.tolerations[].value":             {settings: "controlPlane: {tolerations: [{key: a, value: b}]}"},
	"tolerations[].effect":                         {settings: "tolerations: [{key: a, effect: NoSchedule}]"},
	"tolerations[].key":                            {settings: "tolerations: [{key: a}]"},
	"tolerations[].operator":                       {settings: "tolerations: [{operator: Exists}]"},
	"tolerations[].tolerationSeconds":              {settings: "tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 5}]"},
	"tolerations[].value":                          {settings: "tolerations: [{key: a, value: b}]"},

	"tracing.enabled":                  {settings: "tracing: {enabled: true}", beside: "tracing: {collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}"},
	"tracing.sampling":                 {settings: "tracing: {sampling: 50.05}", beside: traced},
	"tracing.collector.zipkin.address": {settings: "tracing: {collector: {zipkin: {address: 'zipkin.myjaeger.svc:9411'}}}", beside: traced},
	"tracing.kiali.jaegerURLForUsers":  {settings: "tracing: {kiali: {jaegerURLForUsers: 'https://tracing-service:4443/jaeger'}}", beside: jaeger},
	"tracing.kiali.jaegerGRPCEndpoint": {settings: "tracing: {kiali: {jaegerGRPCEndpoint: 'http://tracing.myjaeger.svc:16685/'}}"},

	"sidecar.includeOutboundIPRanges":                    {settings: "sidecar: {includeOutboundIPRanges: [1.1.1.1/32, 1.2.3.0/24, 1.1.1.1/32]}"},
	"sidecar.excludeOutboundIPRanges":                    {settings: "sidecar: {excludeOutboundIPRanges: [10.1.1.0/24]}"},
	"sidecar.excludeInboundPorts":                        {settings: "sidecar: {excludeInboundPorts: ['8080', '8443']}"},
	"sidecar.excludeOutboundPorts":                       {settings: "sidecar: {excludeOutboundPorts: ['8080', '8443']}"},
	"sidecar.resourcesManagement.mode":                   {settings: "sidecar: {resourcesManagement: {mode: Static}}", beside: "sidecar: {resourcesManagement: {mode: VPA}}"},
	"sidecar.resourcesManagement.static.requests.cpu":    {settings: "sidecar: {resourcesManagement: {static: {requests: {cpu: 200m}}}}"},
	"sidecar.resourcesManagement.static.requests.memory": {settings: "sidecar: {resourcesManagement: {static: {requests: {memory: 268435456}}}}"},
	"sidecar.resourcesManagement.static.limits.cpu":      {settings: "sidecar: {resourcesManagement: {static: {limits: {cpu: 0}}}}"},
	"sidecar.resourcesManagement.static.limits.memory":   {settings: "sidecar: {resourcesManagement: {static: {limits: {memory: 2147483648}}}}"},

	"ca.cert":                      {settings: "ca: {cert: %CERT%, key: %KEY%}", effect: byHook, hook: "ca"},
	"ca.key":                       {settings: "ca: {cert: %CERT%, key: %KEY%}", effect: byHook, hook: "ca"},
	"ca.chain":                     {settings: "ca: {cert: %CERT%, key: %KEY%, chain: %CHAIN%, root: %ROOT%}", effect: byHook, hook: "ca"},
	"ca.root":                      {settings: "ca: {cert: %CERT%, key: %KEY%, root: %ROOT%}", effect: byHook, hook: "ca"},
	"jwksResolverAdditionalRootCA": {settings: "jwksResolverAdditionalRootCA: %CERT%"},

	"controlPlane.replicasManagement.mode":                                   {settings: "controlPlane: {replicasManagement: {mode: Static}}", beside: replicated},
	"controlPlane.replicasManagement.static.replicas":                        {settings: "controlPlane: {replicasManagement: {mode: Static, static: {replicas: 3}}}"},
	"controlPlane.replicasManagement.hpa.minReplicas":                        {settings: "controlPlane: {replicasManagement: {hpa: {minReplicas: 3}}}", beside: scaled},
	"controlPlane.replicasManagement.hpa.maxReplicas":                        {settings: "controlPlane: {replicasManagement: {hpa: {maxReplicas: 7}}}", beside: scaled},
	"controlPlane.replicasManagement.hpa.metrics[].type":                     {settings: scaled},
	"controlPlane.replicasManagement.hpa.metrics[].targetAverageUtilization": {settings: "controlPlane: {replicasManagement: {hpa: {metrics: [{type: CPU, targetAverageUtilization: 60}]}}}", beside: scaled},
	"controlPlane.resourcesManagement.mode":                                  {settings: fixed},
	"controlPlane.resourcesManagement.vpa.mode":                              {settings: "controlPlane: {resourcesManagement: {vpa: {mode: InPlaceOrRecreate}}}"},
	"controlPlane.resourcesManagement.vpa.cpu.max":                           {settings: "controlPlane: {resourcesManagement: {vpa: {cpu: {max: 2}}}}"},
	"controlPlane.resourcesManagement.vpa.cpu.min":                           {settings: "controlPlane: {resourcesManagement: {vpa: {cpu: {min: 0.1}}}}"},
	"controlPlane.resourcesManagement.vpa.cpu.limitRatio":                    {settings: "controlPlane: {resourcesManagement: {vpa: {cpu: {limitRatio: 1.5}}}}"},
	"controlPlane.resourcesManagement.vpa.memory.max":                        {settings: "controlPlane: {resourcesManagement: {vpa: {memory: {max: 2147483648}}}}"},
	"controlPlane.resourcesManagement.vpa.memory.min":                        {settings: "controlPlane: {resourcesManagement: {vpa: {memory: {min: 536870912}}}}"},
	"controlPlane.resourcesManagement.vpa.memory.limitRatio":                 {settings: "controlPlane: {resourcesManagement: {vpa: {memory: {limitRatio: 1.5}}}}"},
	"controlPlane.resourcesManagement.static.requests.cpu":                   {settings: "controlPlane: {resourcesManagement: {static: {requests: {cpu: 55m}}}}", beside: fixed},
	"controlPlane.resourcesManagement.static.requests.memory":                {settings: "controlPlane: {resourcesManagement: {static: {requests: {memory: 268435456}}}}", beside: fixed},
	"controlPlane.resourcesManagement.static.limits.cpu":                     {settings: "controlPlane: {resourcesManagement: {static: {limits: {cpu: '2'}}}}", beside: fixed},
	"controlPlane.resourcesManagement.static.limits.memory":                  {settings: "controlPlane: {resourcesManagement: {static: {limits: {memory: 2147483648}}}}", beside: fixed},

	"dataPlane.accessLog.type":       {settings: "dataPlane: {accessLog: {type: JSON}}"},
	"dataPlane.accessLog.textFormat": {settings: "dataPlane: {accessLog: {textFormat: '%RESPONSE_CODE%'}}", beside: "dataPlane: {accessLog: {}}"},
	"dataPlane.accessLog.jsonLabels": {settings: "dataPlane: {accessLog: {jsonLabels: {code: '%RESPONSE_CODE%'}}}", beside: structured},

	"dataPlane.extensionProviders[].name":                              {settings: authorizer + "}}]}"},
	"dataPlane.extensionProviders[].envoyExtAuthzGrpc.service":         {settings: authorizer + "}}]}"},
	"dataPlane.extensionProviders[].envoyExtAuthzGrpc.port":            {settings: authorizer + "}}]}"},
	"dataPlane.extensionProviders[].envoyExtAuthzGrpc.failOpen":        {settings: authorizer + ", failOpen: true}}]}", beside: authorizer + "}}]}"},
	"dataPlane.extensionProviders[].envoyExtAuthzGrpc.timeout":         {settings: authorizer + ", timeout: 5s}}]}", beside: authorizer + "}}]}"},
	"dataPlane.extensionProviders[].envoyExtAuthzGrpc.statusOnError":   {settings: authorizer + ", statusOnError: '503'}}]}", beside: authorizer + "}}]}"},
	"dataPlane.extensionProviders[].envoyExtAuthzGrpc.clearRouteCache": {settings: authorizer + ", clearRouteCache: true}}]}", beside: authorizer + "}}]}"},

	"dataPlane.enableHTTP10":                                {settings: "dataPlane: {enableHTTP10: true}"},
	"dataPlane.proxyConfig.holdApplicationUntilProxyStarts": {settings: "dataPlane: {proxyConfig: {holdApplicationUntilProxyStarts: true}}"},
	"dataPlane.proxyConfig.idleTimeout":                     {settings: "dataPlane: {proxyConfig: {idleTimeout: 24h}}"},

	"dataPlane.trafficRedirectionSetupMode":                        {settings: "dataPlane: {trafficRedirectionSetupMode: CNIPlugin}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.mode":                   {settings: "dataPlane: {ztunnel: {resourcesManagement: {mode: Static}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.vpa.mode":               {settings: "dataPlane: {ztunnel: {resourcesManagement: {vpa: {mode: Auto}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.vpa.cpu.max":            {settings: "dataPlane: {ztunnel: {resourcesManagement: {vpa: {cpu: {max: 2}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.vpa.cpu.min":            {settings: "dataPlane: {ztunnel: {resourcesManagement: {vpa: {cpu: {min: 50m}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.vpa.cpu.limitRatio":     {settings: "dataPlane: {ztunnel: {resourcesManagement: {vpa: {cpu: {limitRatio: 1.5}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.vpa.memory.max":         {settings: "dataPlane: {ztunnel: {resourcesManagement: {vpa: {memory: {max: 2Gi}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.vpa.memory.min":         {settings: "dataPlane: {ztunnel: {resourcesManagement: {vpa: {memory: {min: 256Mi}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.vpa.memory.limitRatio":  {settings: "dataPlane: {ztunnel: {resourcesManagement: {vpa: {memory: {limitRatio: 1.5}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.static.requests.cpu":    {settings: "dataPlane: {ztunnel: {resourcesManagement: {static: {requests: {cpu: 55m}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.static.requests.memory": {settings: "dataPlane: {ztunnel: {resourcesManagement: {static: {requests: {memory: 256Mi}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.static.limits.cpu":      {settings: "dataPlane: {ztunnel: {resourcesManagement: {static: {limits: {cpu: '2'}}}}}", effect: none},
	"dataPlane.ztunnel.resourcesManagement.static.limits.memory":   {settings: "dataPlane: {ztunnel: {resourcesManagement: {static: {limits: {memory: 2Gi}}}}}", effect: none},

	"https.mode":                          {settings: "https: {mode: CertManager}", beside: "{federation: {enabled: true}, https: {mode: OnlyInURI, customCertificate: {secretName: foobar}}}"},
	"https.certManager.clusterIssuerName": {settings: "https: {certManager: {clusterIssuerName: own}}", beside: withFederation},
	"https.customCertificate.secretName":  {settings: "https: {mode: CustomCertificate, customCertificate: {secretName: foobar}}", effect: byHook, hook: "copy_custom_certificate"},

	"auth.externalAuthentication.authURL":       {settings: "auth: {externalAuthentication: {authURL: 'https://example.com/dex/auth'}}"},
	"auth.externalAuthentication.authSignInURL": {settings: "auth: {externalAuthentication: {authSignInURL: 'https://example.com/dex/sign_in'}}", beside: "auth: {externalAuthentication: {authURL: 'https://example.com/dex/auth'}}"},
	"auth.allowedUserEmails":                    {settings: "auth: {allowedUserEmails: [jane@example.com, jane@example.com]}"},
	"auth.allowedUserGroups":                    {settings: "auth: {allowedUserGroups: [admins]}"},
	"auth.whitelistSourceRanges":                {settings: listening},
	"auth.satisfyAny":                           {settings: "auth: {satisfyAny: true}", beside: listening},
}
