{{/* The name all objects start with: the release's, with the chart's unless it says so already. */}}
{{- define "fathom.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "fathom.selector" -}}
app.kubernetes.io/name: fathom-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fathom.labels" -}}
{{ include "fathom.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fathom
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "fathom.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "fathom.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* fathom.image (list . "trainer"): what images.trainer says, else the repository's image of the chart's version. */}}
{{- define "fathom.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- index $root.Values.images $image | default (printf "%s/fathom-%s:%s" $root.Values.images.repository $image $root.Chart.AppVersion) -}}
{{- end -}}

{{/* What the operator may do in the namespaces it watches: operator/RBAC.md says why of each. */}}
{{- define "fathom.watchedRules" -}}
- apiGroups: [fathom.dev]
  resources: [captionjobs, recmodels, backfills, interestmaps]
  verbs: [get, list, watch]
- apiGroups: [fathom.dev]
  resources: [captionjobs]
  verbs: [delete]
- apiGroups: [fathom.dev]
  resources: [captionjobs/status, recmodels/status, backfills/status, interestmaps/status]
  verbs: [get, patch]
- apiGroups: [fathom.dev]
  resources: [captionjobs/finalizers, recmodels/finalizers, backfills/finalizers, interestmaps/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [jobset.x-k8s.io]
  resources: [jobsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [trainer.kubeflow.org]
  resources: [trainjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [trainer.kubeflow.org]
  resources: [trainingruntimes]
  verbs: [get, list, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [create, get, patch]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [serving.knative.dev]
  resources: [revisions]
  verbs: [get, list]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, create, patch, delete]
{{- if .Values.rbac.readTokens }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- end -}}
