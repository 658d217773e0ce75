import { field } from '../kube/field.js';
import { ApiError } from './api-error.js';
import type { KubeObject } from './objects.js';

type Labels = Readonly<Record<string, string>>;
type Test = (labels: Labels) => boolean;

/** `a=b,c in (d,e),!f` as a test of labels. */
export function labelTest(text: string): Test {
  const parts = text
    .split(/,(?![^(]*\))/)
    .flatMap((part) => (part.trim() === '' ? [] : [requirement(part.trim())]));
  return (labels) => parts.every((part) => part(labels));
}

function requirement(text: string): Test {
  const set = /^(\S+)\s+(in|notin)\s+\((.*)\)$/.exec(text);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((value) => value.trim());
    return (labels) => {
      const value = labels[key];
      return operator === 'in'
        ? value !== undefined && values.includes(value)
        : !values.includes(value ?? '\0');
    };
  }
  const equality = /^([^=!\s]+)\s*(==|=|!=)\s*(\S*)$/.exec(text);
  if (equality !== null) {
    const [, key = '', operator, value] = equality;
    return (labels) => (labels[key] === value) === (operator !== '!=');
  }
  const existence = /^(!?)([^=!\s]+)$/.exec(text);
  if (existence === null) throw new ApiError('BadRequest', `unable to parse requirement: ${text}`);
  const [, not, key = ''] = existence;
  return (labels) => (labels[key] === undefined) === (not === '!');
}

/** Fields that the API selects by, besides name and namespace. */
const SELECTABLE: Readonly<Record<string, readonly string[]>> = {
  Pod: ['spec.nodeName', 'status.phase', 'spec.restartPolicy', 'spec.serviceAccountName', 'status.podIP'],
  Event: [
    'involvedObject.kind',
    'involvedObject.name',
    'involvedObject.namespace',
    'involvedObject.uid',
    'reason',
    'type',
  ],
  Secret: ['type'],
  Namespace: ['status.phase'],
  Job: ['status.successful'],
};

/** `metadata.name=x,status.phase!=Running` as a test of objects; throws for a field that the kind is not selected by. */
export function fieldTest(text: string, kind: string): (object: KubeObject) => boolean {
  const parts = text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const [, path = '', operator, value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part.trim()) ?? [];
      const known = ['metadata.name', 'metadata.namespace', ...(SELECTABLE[kind] ?? [])];
      if (!known.includes(path)) throw new ApiError('BadRequest', `field label not supported: ${path}`);
      return (object: KubeObject): boolean => {
        const found = field(object, ...path.split('.'));
        return ((typeof found === 'string' ? found : '') === value) === (operator !== '!=');
      };
    });
  return (object) => parts.every((part) => part(object));
}
