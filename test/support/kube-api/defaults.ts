import { field, listAt } from '../kube/field.js';
import { isFields, type Fields, type KubeObject } from './objects.js';

/** Sets what is absent. */
function preset(target: unknown, values: Fields): void {
  if (!isFields(target)) return;
  for (const [key, value] of Object.entries(values)) target[key] ??= value;
}

const forPod = (pod: unknown): void => {
  preset(pod, {
    ...{ restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', schedulerName: 'default-scheduler' },
    ...{ terminationGracePeriodSeconds: 30, securityContext: {} },
  });
  for (const container of [...listAt(pod, 'initContainers'), ...listAt(pod, 'containers')]) {
    preset(container, {
      imagePullPolicy: 'IfNotPresent',
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
    });
    for (const port of listAt(container, 'ports')) preset(port, { protocol: 'TCP' });
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      preset(field(container, probe), {
        periodSeconds: 10,
        timeoutSeconds: 1,
        failureThreshold: 3,
        successThreshold: 1,
      });
  }
};
const forTemplate = (spec: unknown): void => forPod(field(spec, 'template', 'spec'));

/** Defaults of the API that somebody here depends on, by kind. */
const DEFAULTS: Readonly<Record<string, (spec: unknown, object: KubeObject) => void>> = {
  Pod: (spec) => {
    forPod(spec);
    preset(spec, { serviceAccountName: 'default' });
  },
  Deployment: (spec) => {
    preset(spec, {
      ...{ replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
    });
    preset(field(spec, 'strategy'), { type: 'RollingUpdate' });
    forTemplate(spec);
  },
  ReplicaSet: (spec) => {
    preset(spec, { replicas: 1 });
    forTemplate(spec);
  },
  StatefulSet: (spec) => {
    preset(spec, {
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate' },
    });
    forTemplate(spec);
  },
  Job: (spec) => {
    preset(spec, { backoffLimit: 6, completions: 1, parallelism: 1 });
    forTemplate(spec);
  },
  Service: (spec) => {
    preset(spec, { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' });
    for (const port of listAt(spec, 'ports'))
      preset(port, { protocol: 'TCP', targetPort: field(port, 'port') });
  },
  PersistentVolumeClaim: (spec) => preset(spec, { volumeMode: 'Filesystem', storageClassName: 'local-path' }),
  Secret: (_, secret) => {
    secret['type'] ??= 'Opaque';
    const given = Object.entries((secret['stringData'] ?? {}) as Record<string, string>);
    if (given.length > 0) {
      const encoded = given.map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
      secret['data'] = { ...(secret['data'] as Fields | undefined), ...Object.fromEntries(encoded) };
    }
    delete secret['stringData'];
  },
  Namespace: (_, namespace) => {
    namespace.metadata.labels = {
      ...namespace.metadata.labels,
      'kubernetes.io/metadata.name': namespace.metadata.name,
    };
    namespace['spec'] ??= { finalizers: ['kubernetes'] };
    namespace['status'] ??= { phase: 'Active' };
  },
};

/** Fills in what the API server fills in. */
export function setDefaults(object: KubeObject): void {
  DEFAULTS[object.kind]?.(object['spec'], object);
}
