/**
 * Rules of structural schemas as the Kubernetes documentation states them (Extend the Kubernetes API with
 * CustomResourceDefinitions: "Specifying a structural schema", "Validation", "Defaulting"), written from there and not
 * from the generator that they judge.
 */
const FORBIDDEN = [
  '$ref',
  '$schema',
  'const',
  'definitions',
  'dependencies',
  'deprecated',
  'discriminator',
  'id',
  'patternProperties',
  'prefixItems',
  'propertyNames',
  'readOnly',
  'uniqueItems',
  'writeOnly',
  'xml',
];
const JUNCTORS = ['allOf', 'anyOf', 'oneOf', 'not'];
const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean'];
/** Fields of JSONSchemaProps that a value may restrict, besides those above. */
const KNOWN = [
  'additionalProperties',
  'default',
  'description',
  'enum',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'format',
  'items',
  'maxItems',
  'maxLength',
  'maxProperties',
  'maximum',
  'minItems',
  'minLength',
  'minProperties',
  'minimum',
  'multipleOf',
  'nullable',
  'pattern',
  'properties',
  'required',
  'title',
  'type',
];

type Node = Readonly<Record<string, unknown>>;

/** Every reason why the API server would refuse `schema` as an openAPIV3Schema; none where it is structural. */
export function structuralProblems(schema: unknown): string[] {
  return [...rootProblems(asNode(schema)), ...nodeProblems(asNode(schema), '')];
}

function rootProblems(root: Node): string[] {
  const problems: string[] = [];
  if (root['type'] !== 'object') problems.push('(root): type is not object');
  const metadata = asNode(asNode(root['properties'])['metadata']);
  const restricted = Object.keys(asNode(metadata['properties'])).filter(
    (key) => key !== 'name' && key !== 'generateName',
  );
  if (restricted.length > 0) problems.push(`metadata: may restrict name only, not ${restricted.join()}`);
  return problems;
}

function nodeProblems(node: Node, path: string): string[] {
  const at = path === '' ? '(root)' : path;
  const problems = keywordProblems(node).map((problem) => `${at}: ${problem}`);
  for (const [name, child] of Object.entries(asNode(node['properties']))) {
    problems.push(...nodeProblems(asNode(child), `${path}.${name}`));
  }
  if (node['items'] !== undefined) problems.push(...nodeProblems(asNode(node['items']), `${path}[]`));
  const additional = node['additionalProperties'];
  if (typeof additional === 'object') problems.push(...nodeProblems(asNode(additional), `${path}.*`));
  return problems;
}

function keywordProblems(node: Node): string[] {
  const problems = Object.keys(node).flatMap((keyword) => {
    if (FORBIDDEN.includes(keyword)) return [`${keyword} is forbidden`];
    if (JUNCTORS.includes(keyword)) return [`${keyword} needs structure outside of it`];
    return KNOWN.includes(keyword) ? [] : [`${keyword} is unknown to JSONSchemaProps`];
  });
  const type = node['type'];
  if (typeof type !== 'string' || !TYPES.includes(type)) problems.push('has no type');
  if (type === 'array' && (typeof node['items'] !== 'object' || Array.isArray(node['items'])))
    problems.push('items is no schema');
  if (node['additionalProperties'] === false) problems.push('additionalProperties may not be false');
  if (node['additionalProperties'] !== undefined && node['properties'] !== undefined) {
    problems.push('additionalProperties and properties exclude each other');
  }
  for (const bound of ['exclusiveMinimum', 'exclusiveMaximum']) {
    if (node[bound] !== undefined && typeof node[bound] !== 'boolean')
      problems.push(`${bound} is a boolean in OpenAPI 3.0`);
  }
  return [...problems, ...requiredProblems(node), ...patternProblems(node)];
}

function requiredProblems(node: Node): string[] {
  const required = (node['required'] ?? []) as readonly string[];
  const properties = asNode(node['properties']);
  return required
    .filter((name) => !Object.hasOwn(properties, name))
    .map((name) => `requires ${name}, which it does not define`);
}

/** The API server compiles patterns with RE2, which knows neither lookaround nor back-references. */
function patternProblems(node: Node): string[] {
  const pattern = node['pattern'];
  if (typeof pattern !== 'string') return [];
  return /\(\?[=!<]|\\[1-9]/.test(pattern) ? ['pattern is not RE2'] : [];
}

function asNode(value: unknown): Node {
  return typeof value === 'object' && value !== null ? (value as Node) : {};
}
