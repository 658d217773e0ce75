import { field } from '../kube/field.js';
import { podOf, restrictedFaults } from '../kube/pod-security.js';
import { schemaFault } from '../kube/schemas.js';
import { unknownFields } from '../kube/unknown-fields.js';
import { ApiError, invalid } from './api-error.js';
import type { Kind } from './kinds.js';
import { isFields, isSame, type Fields, type KubeObject } from './objects.js';

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;
/** Of RFC 1035: a letter first. */
const SERVICE_NAME = /^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const LABEL_KEY = /^(?:[a-z0-9][-a-z0-9.]{0,252}\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** Removes fields that the API does not have, or refuses them; gives warnings of them. */
export function pruneUnknown(object: KubeObject, validation: FieldValidation): readonly string[] {
  // Of Events the client that the schemas come from knows two, neither by this name.
  if (object.kind === 'Event') return [];
  // The API server's own fields of metadata are no one's to give.
  const { managedFields, ...metadata } = object.metadata;
  void managedFields;
  // Status is written by controllers alone, and not described for kinds of other projects.
  const faults = unknownFields({ ...object, metadata }).filter(
    (fault) => !fault.startsWith(`${object.kind}.status`),
  );
  const wrong = faults.filter((fault) => !fault.endsWith(': unknown field'));
  if (wrong.length > 0)
    throw new ApiError(
      'BadRequest',
      `${object.kind} in version "${object.apiVersion}" cannot be handled: ${wrong.join(', ')}`,
    );
  const unknown = faults.map((fault) => fault.replace(/^[^.]*\./, '').replace(/: unknown field$/, ''));
  if (unknown.length > 0 && validation === 'Strict')
    throw new ApiError(
      'BadRequest',
      `${object.kind} in version "${object.apiVersion}" cannot be handled as a ${object.kind}: strict decoding error: ${unknown
        .map((path) => `unknown field "${path}"`)
        .join(', ')}`,
    );
  for (const path of unknown) removeField(object, path);
  return validation === 'Warn' ? unknown.map((path) => `unknown field "${path}"`) : [];
}

function removeField(object: KubeObject, path: string): void {
  const steps = path.replaceAll(/\[(\d+)\]/g, '.$1').split('.');
  const parent = field(object, ...steps.slice(0, -1));
  if (isFields(parent)) Reflect.deleteProperty(parent, steps.at(-1) ?? '');
}

/** Refuses what the API's schema and its rules of names forbid. */
export async function validate(kind: Kind, object: KubeObject): Promise<void> {
  const { name, labels = {} } = object.metadata;
  const isStrict = ['Namespace', 'Service', 'Pod', 'Deployment'].includes(kind.kind);
  const causes = [
    ...(NAME.test(name) ? [] : [`metadata.name: Invalid value: "${name}": a lowercase RFC 1123 subdomain`]),
    ...(isStrict && name.length > 63
      ? [`metadata.name: Invalid value: "${name}": must be no more than 63 characters`]
      : []),
    ...(kind.kind === 'Service' && !SERVICE_NAME.test(name)
      ? [`metadata.name: Invalid value: "${name}": a DNS-1035 label`]
      : []),
    ...labelCauses('metadata.labels', labels),
    ...labelCauses('spec.template.labels', field(object, 'spec', 'template', 'metadata', 'labels') ?? {}),
    ...selectorCauses(object),
  ];
  const { managedFields, ...metadata } = object.metadata;
  void managedFields;
  const fault = kind.custom || kind.kind === 'Event' ? undefined : await schemaFault({ ...object, metadata });
  if (fault !== undefined) causes.push(fault);
  if (causes.length > 0) throw invalid(kind.kind, name, causes);
}

const labelCauses = (path: string, labels: object): readonly string[] =>
  Object.entries(labels)
    .filter(([key, value]) => !LABEL_KEY.test(key) || !LABEL_VALUE.test(String(value)))
    .map(([key, value]) => `${path}: Invalid value: "${key}=${String(value)}"`);

/** A workload selects its own pods. */
function selectorCauses(object: KubeObject): readonly string[] {
  const selector = field(object, 'spec', 'selector', 'matchLabels');
  const labels = field(object, 'spec', 'template', 'metadata', 'labels');
  if (!isFields(selector) || field(object, 'spec', 'template') === undefined) return [];
  const matches = Object.entries(selector).every(([key, value]) => field(labels, key) === value);
  return matches
    ? []
    : ['spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`'];
}

/** Fields that are written once. */
const IMMUTABLE: Readonly<Record<string, readonly string[]>> = {
  Deployment: ['selector'],
  ReplicaSet: ['selector'],
  StatefulSet: ['selector', 'serviceName', 'volumeClaimTemplates', 'podManagementPolicy'],
  Job: ['selector', 'template', 'completions'],
  PersistentVolumeClaim: ['accessModes', 'storageClassName', 'volumeName', 'volumeMode', 'selector'],
  Service: ['clusterIP'],
  Pod: ['containers', 'initContainers', 'volumes', 'restartPolicy', 'securityContext', 'serviceAccountName'],
};

/** Refuses a change of what is written once. */
export function refuseImmutable(before: KubeObject, after: KubeObject): void {
  const causes = (IMMUTABLE[after.kind] ?? [])
    .filter((name) => {
      const [old, now] = [field(before, 'spec', name), field(after, 'spec', name)];
      return old !== undefined && !isSame(old, now);
    })
    .map((name) => `spec.${name}: Invalid value: field is immutable`);
  if (before['immutable'] === true && !isSame(before['data'], after['data']))
    causes.push('data: Forbidden: field is immutable when `immutable` is set');
  if (after.kind === 'Secret' && before['type'] !== after['type'])
    causes.push('type: Invalid value: field is immutable');
  if (causes.length > 0) throw invalid(after.kind, after.metadata.name, causes);
}

/** Pod Security admission: refuses pods, and warns of workloads (kubernetes.io/docs/concepts/security/pod-security-admission). */
export function admitPod(object: KubeObject, namespace: KubeObject | undefined): readonly string[] {
  const labels: Fields = namespace?.metadata.labels ?? {};
  const pod = podOf(object);
  const level = (mode: string): boolean => labels[`pod-security.kubernetes.io/${mode}`] === 'restricted';
  if (pod === undefined || !['enforce', 'warn'].some(level)) return [];
  const faults = restrictedFaults(pod);
  if (faults.length === 0) return [];
  const words = `violates PodSecurity "restricted:latest": ${faults.join(', ')}`;
  if (object.kind === 'Pod' && level('enforce'))
    throw new ApiError('Forbidden', `pods "${object.metadata.name}" is forbidden: ${words}`);
  return [`would ${words.replace('violates', 'violate')}`];
}
