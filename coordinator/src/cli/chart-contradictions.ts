import { posix } from 'node:path';

import { isJsonObject, type JsonValue } from '@tributary/proto';

/** The value at a path of names. */
type Read = (...path: readonly string[]) => JsonValue | undefined;

/** A field, and its value, which no other one may equal. */
type Apart = readonly (readonly [field: string, value: JsonValue | undefined])[];

/**
 * What the templates of the chart tributary-agent refuse beyond its schema, in their words, lest helm says so at the site
 * when the token is made already. `values` fit the schema.
 */
export function contradictions(values: JsonValue): readonly string[] {
  const at: Read = (...path) =>
    path.reduce<JsonValue | undefined>(
      (value, name) => (isJsonObject(value) ? value[name] : undefined),
      values,
    );
  return [
    ...[...contradicting(at), ...missing(at), ...ownLabels(at), ...ownFolders(at)],
    ...[ports(at), brokers(at), variables(at), folders(at)].flatMap(alike),
  ];
}

const isSet = (value: JsonValue | undefined): boolean =>
  Array.isArray(value)
    ? value.length > 0
    : value !== undefined && value !== null && value !== '' && value !== false;

function contradicting(at: Read): readonly string[] {
  const both = (...fields: readonly (JsonValue | undefined)[]): boolean => fields.every(isSet);
  return [
    ...(both(at('gpu', 'enabled'), at('gpu', 'tagSuffix'), at('image', 'digest'))
      ? [
          "gpu.tagSuffix: a digest names one image, and no tag is read; give the digest of the one with CUDA and tagSuffix ''",
        ]
      : []),
    ...(both(at('policy', 'document'), at('policy', 'existingConfigMap'))
      ? ['policy: give document or existingConfigMap, not both']
      : []),
    ...(both(at('joinToken', 'value'), at('joinToken', 'existingSecret'))
      ? ['joinToken: give value or existingSecret, not both']
      : []),
    ...(Number(at('terminationGracePeriodSeconds')) <= Number(at('preStopSeconds')) + 10
      ? ['terminationGracePeriodSeconds: must be longer than preStopSeconds and the drain of 10 s together']
      : []),
  ];
}

function missing(at: Read): readonly string[] {
  return [
    ...(isSet(at('serving', 'enabled')) && !isSet(at('serving', 'tokenSecret', 'name'))
      ? ['serving.tokenSecret.name: callers over TCP show a token; name the Secret that holds it']
      : []),
    ...(isSet(at('serving', 'fits')) && !isSet(at('serving', 'fitsSecret'))
      ? ['serving.fitsSecret: the Secret that holds serving.fits']
      : []),
    ...(isSet(at('broker', 'enabled')) && !isSet(at('broker', 'existingSecret'))
      ? ['broker.existingSecret: the Secret with passwords and agent-password']
      : []),
    ...(isSet(at('broker', 'enabled')) &&
    !isSet(at('broker', 'image', 'tag')) &&
    !isSet(at('broker', 'image', 'digest'))
      ? ['broker.image: needs tag or digest']
      : []),
  ];
}

const OWN_LABEL = /^app\.kubernetes\.io\/(?:name|instance|component|managed-by)$/;

const ownLabels = (at: Read): readonly string[] =>
  ['commonLabels', 'podLabels'].flatMap((field) =>
    Object.keys(at(field) ?? {})
      .filter((label) => OWN_LABEL.test(label))
      .map((label) => `${field}: ${label} is the chart's own; choose another label`),
  );

const ports = (at: Read): Apart =>
  isSet(at('serving', 'enabled'))
    ? [
        ['serving.grpcPort', at('serving', 'grpcPort')],
        ['serving.port', at('serving', 'port')],
        ['the port of metrics', 7447],
        ['the port of probes', 7446],
      ]
    : [];

const brokers = (at: Read): Apart => [
  ...(isSet(at('broker', 'enabled')) ? [['broker.enabled', 'site'] as const] : []),
  ...eachOf(at, 'brokers', 'name'),
];

const variables = (at: Read): Apart => [
  ...eachOf(at, 'extraEnv', 'name'),
  ["the chart's TRIBUTARY_AGENT_CONFIG", 'TRIBUTARY_AGENT_CONFIG'],
];

const folders = (at: Read): readonly (readonly [field: string, path: string])[] =>
  eachOf(at, 'tables', 'mountPath').map(([field, path]) => [field, cleanPath(path)]);

const OWN_FOLDER = /^\/(?:(?:tmp|etc\/tributary|var\/lib\/tributary)(?:\/.*)?)?$/;

const ownFolders = (at: Read): readonly string[] =>
  folders(at)
    .filter(([, path]) => OWN_FOLDER.test(path))
    .map(([field, path]) => `${field}: ${path} is the agent's own; choose another folder`);

/** As Go's path.Clean has an absolute one. */
const cleanPath = (path: JsonValue | undefined): string =>
  posix.resolve('/', typeof path === 'string' ? path : '');

/** One member of each entry of a list. */
function eachOf(at: Read, list: string, member: string): Apart {
  const given = at(list);
  const entries: readonly JsonValue[] = Array.isArray(given) ? given : [];
  return entries.map((entry, index) => [
    `${list}[${String(index)}].${member}`,
    isJsonObject(entry) ? entry[member] : undefined,
  ]);
}

/** Each pair of which both have one value. */
function alike(apart: Apart): readonly string[] {
  const seen = new Map<JsonValue | undefined, string>();
  return apart.flatMap(([field, value]) => {
    const other = seen.get(value);
    seen.set(value, other ?? field);
    return other === undefined
      ? []
      : [`${other} and ${field}: both are ${JSON.stringify(value)}; they must differ`];
  });
}
