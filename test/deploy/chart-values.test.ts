import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { SOFTWARE_VERSION } from '@tributary/proto';
import { parse } from 'yaml';

import { chartFolder, CHARTS, type ChartName } from '../support/kube/charts.js';
import { field } from '../support/kube/field.js';

const read = (chart: ChartName, ...path: string[]): string =>
  readFileSync(join(chartFolder(chart), ...path), 'utf8');

const templatesOf = (chart: ChartName): readonly string[] =>
  readdirSync(join(chartFolder(chart), 'templates'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(?:yaml|tpl|txt)$/.test(name),
  );

type Schema = Readonly<Record<string, unknown>>;

/** Follows `$ref` into the definitions. */
function resolved(root: Schema, schema: unknown): Schema {
  const ref = field(schema, '$ref');
  if (typeof ref !== 'string') return schema as Schema;
  return field(root, ...ref.replace('#/', '').split('/')) as Schema;
}

const propertiesOf = (schema: Schema): readonly (readonly [string, unknown])[] =>
  Object.entries(schema['properties'] ?? {});

/** Places where unknown names would pass without a word. */
function openPlaces(root: Schema, schema: unknown, path: string): readonly string[] {
  const here = resolved(root, schema);
  const items = here['items'] === undefined ? [] : openPlaces(root, here['items'], `${path}[]`);
  const below = propertiesOf(here).flatMap(([name, child]) => openPlaces(root, child, `${path}.${name}`));
  const open = here['type'] === 'object' && here['additionalProperties'] === undefined;
  return [...(open ? [path] : []), ...items, ...below];
}

/** Names of values.yaml without a property of the schema, and properties that values.yaml does not have. */
function disagreements(root: Schema, schema: unknown, value: unknown, path: string): readonly string[] {
  const here = resolved(root, schema);
  const known = propertiesOf(here);
  if (known.length === 0 || typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const given = Object.keys(value);
  const lacking = known
    .filter(([name]) => !given.includes(name))
    .map(([name]) => `${path}.${name}: not in values.yaml`);
  const extra = given
    .filter((name) => !known.some(([property]) => property === name))
    .map((name) => `${path}.${name}: not in the schema`);
  const below = known.flatMap(([name, child]) =>
    disagreements(root, child, field(value, name), `${path}.${name}`),
  );
  return [...lacking, ...extra, ...below];
}

/** Values with a default, and groups of values, that `null` takes away without a word: helm leaves nothing in their place. */
function takenAway(root: Schema, schema: unknown, value: unknown, path: string): readonly string[] {
  const here = resolved(root, schema);
  const required = (here['required'] ?? []) as readonly string[];
  return propertiesOf(here).flatMap(([name, child]) => {
    const given = field(value, name);
    const where = `${path}.${name}`;
    if (MAY_BE_NOTHING.test(where) || given === undefined || given === '' || Array.isArray(given)) return [];
    const isGroup = typeof given === 'object';
    if (isGroup && propertiesOf(resolved(root, child)).length === 0) return [];
    return [
      ...(required.includes(name) ? [] : [where]),
      ...(isGroup ? takenAway(root, child, given, where) : []),
    ];
  });
}

/** What the templates do without. */
const MAY_BE_NOTHING =
  /^\.(?:affinity|image\.registry|gpu\.runtimeClassName|service\.nodePorts\.[a-z]+|serving\.decisions|(?:broker\.)?(?:resources|image\.(?:registry|tag)))$/;

/** Lines of values.yaml with a value and without a comment above them. */
function uncommented(text: string): readonly string[] {
  const lines = text.split('\n');
  return lines.filter((line, index) => {
    const key = /^( *)[A-Za-z]+:/.exec(line);
    if (key === null) return false;
    const before = lines[index - 1] ?? '';
    const isGroup = /:$/.test(line) && !/^\s*#/.test(before);
    // Values of one comment may follow each other, as the ports do.
    const follows = new RegExp(`^${key[1] ?? ''}[A-Za-z]+:`).test(before) && /^ {2}/.test(line);
    return !/^\s*#/.test(before) && !isGroup && !follows;
  });
}

/** Kubernetes' own objects, which the API server checks. */
const PASSED_ON = /\.(?:global|nodeAffinity|podAffinity|podAntiAffinity|valueFrom)$/;

for (const chart of CHARTS) {
  describe(`values of ${chart}`, () => {
    const text = read(chart, 'values.yaml');
    const values = parse(text) as Readonly<Record<string, unknown>>;
    const schema = JSON.parse(read(chart, 'values.schema.json')) as Schema;

    it('are all in the schema, and the schema has no others', () => {
      assert.deepEqual(
        disagreements(schema, schema, values, '').filter((line) => !OPTIONAL.test(line)),
        [],
      );
    });

    it('leave no place for unknown names', () => {
      assert.deepEqual(
        openPlaces(schema, schema, '').filter((path) => !PASSED_ON.test(path)),
        [],
      );
    });

    it('cannot be taken away where the templates need one', () => {
      assert.deepEqual(takenAway(schema, schema, values, ''), []);
    });

    it('are explained, each of them', () => {
      assert.deepEqual(uncommented(text), []);
    });

    it('are used, and nothing else is', () => {
      const used = new Set<string>();
      for (const name of templatesOf(chart)) {
        for (const [, path = ''] of read(chart, 'templates', name).matchAll(/\.Values\.([A-Za-z.]+)/g)) {
          used.add(path.split('.')[0] ?? '');
          assert.notEqual(field(values, ...path.split('.')), undefined, `${name}: .Values.${path}`);
        }
      }
      const unused = Object.keys(values).filter((name) => !used.has(name));
      assert.deepEqual(unused, ['global']);
    });

    it('belong to this version', () => {
      const { version, appVersion } = parse(read(chart, 'Chart.yaml')) as Readonly<Record<string, string>>;
      assert.deepEqual([version, appVersion], [SOFTWARE_VERSION, SOFTWARE_VERSION]);
    });
  });
}

/** What an empty map or list of values.yaml may hold. */
const OPTIONAL = /^\.(?:affinity|serving\.decisions)\..*: not in values\.yaml$/;

describe('what both charts have', () => {
  it('is the same in both', () => {
    const [first, second] = CHARTS;
    for (const name of ['_names.tpl', '_pod.tpl', 'serviceaccount.yaml', 'volume.yaml', 'monitoring.yaml'])
      assert.equal(read(first, 'templates', name), read(second, 'templates', name), name);
  });

  it('has names of templates that mean one thing, as a chart of both would take the one for the other', () => {
    const defined = new Map<string, string>();
    for (const chart of CHARTS)
      for (const name of templatesOf(chart))
        for (const [, template = '', body] of read(chart, 'templates', name).matchAll(
          /\{\{-? define "([^"]+)" -?\}\}([^]*?)\n\{\{-? end -?\}\}(?=\n(?:\n|$))/g,
        )) {
          assert.equal(defined.get(template) ?? body, body, template);
          defined.set(template, body ?? '');
        }
    assert.ok(defined.size > 15);
  });
});
