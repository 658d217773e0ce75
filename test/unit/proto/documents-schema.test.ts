import assert from 'node:assert/strict';

import {
  documentJsonSchema,
  DOCUMENT_KINDS,
  parseDocument,
  structuralSchema,
  type DocumentKind,
  type JsonSchema,
} from '@tributary/proto';
import { schemaNodeOf } from '@tributary/proto/internal/documents/schema-node.js';
import { modelStatusSchema, siteStatusSchema } from '@tributary/proto/internal/documents/status.js';
import { z } from 'zod';

import { jobDocument, policyDocument } from '../../support/job-document.js';
import { structuralProblems } from '../../support/structural-schema.js';

describe('exported JSON Schema', () => {
  it('of a custom resource is structural', () => {
    assert.deepEqual(structuralProblems(structuralSchema('FederatedJob')), []);
  });

  it('of a document is structural but for being closed', () => {
    for (const kind of DOCUMENT_KINDS) {
      const closed =
        /additionalProperties may not be false|exclude each other|^metadata: may restrict name only/;
      assert.deepEqual(
        structuralProblems(documentJsonSchema(kind)).filter((problem) => !closed.test(problem)),
        [],
      );
    }
  });

  it('of the objects that the coordinator writes is structural', () => {
    for (const schema of [siteStatusSchema, modelStatusSchema]) {
      const problems = structuralProblems(schemaNodeOf(schema)).filter(
        (problem) => !/false|exclude/.test(problem),
      );
      assert.deepEqual(problems, []);
    }
  });

  it('would not pass the judge with a union left in it', () => {
    const union = z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('A') }),
      z.strictObject({ type: z.literal('B') }),
    ]);
    const raw = z.toJSONSchema(z.strictObject({ union }), { io: 'input', target: 'openapi-3.0' });
    assert.ok(structuralProblems(raw).includes('.union: oneOf needs structure outside of it'));
    assert.ok(structuralProblems(raw).includes('.union: has no type'));
    assert.ok(
      structuralProblems({ type: 'object', properties: { a: { type: 'array' } } }).includes(
        '.a: items is no schema',
      ),
    );
  });

  it('makes a union a type with optional siblings', () => {
    const { task, features } = specProperties('FederatedJob');
    assert.ok(task?.properties && features?.items?.properties);
    assert.deepEqual(task.properties['type'], {
      type: 'string',
      enum: ['Binary', 'MultiClass', 'Regression'],
    });
    assert.deepEqual(task.required, ['type']);
    assert.deepEqual(Object.keys(task.properties), ['type', 'positive', 'classes', 'center', 'scale']);
    assert.deepEqual(features.items.required, ['name', 'type']);
    assert.deepEqual(features.items.properties['center'], {
      type: 'number',
      minimum: -1e300,
      maximum: 1e300,
      description:
        'Subtracted after the transform, in its units. Default 0. With scaling Given only. Of type Numeric and Date and Ratio and Sequence only.',
    });
  });

  it('refuses unions whose variants disagree about a sibling', () => {
    const union = z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('A'), x: z.string() }),
      z.strictObject({ type: z.literal('B'), x: z.boolean() }),
    ]);
    assert.throws(() => schemaNodeOf(union), /variants disagree about x/);
  });

  it('describes every field of a spec and holds the defaults of the parser', () => {
    for (const document of [jobDocument(), policyDocument()]) {
      const { kind, spec } = parseDocument(document);
      for (const [name, node] of Object.entries(specProperties(kind))) {
        assert.ok(node.description, `${kind} spec.${name} has no description`);
        const isGiven = Object.hasOwn(document.spec, name) || node.type === 'object';
        if (!isGiven) assert.deepEqual(node.default, (spec as Readonly<Record<string, unknown>>)[name], name);
      }
    }
  });

  it('accepts the fields of a parsed document and closes every object', () => {
    for (const document of [jobDocument(), policyDocument()]) {
      const parsed = parseDocument(document);
      assert.deepEqual(strangers(documentJsonSchema(parsed.kind), parsed, ''), []);
    }
    const open = strangers(
      documentJsonSchema('FederatedJob'),
      { spec: { task: { type: 'Binary', foo: 1 } } },
      '',
    );
    assert.deepEqual(open, ['.spec.task.foo']);
  });

  it('exports no mark of its own', () => {
    assert.ok(
      !JSON.stringify([documentJsonSchema('FederatedJob'), structuralSchema('FederatedJob')]).includes(
        'variants',
      ),
    );
  });
});

function specProperties(kind: DocumentKind): Readonly<Record<string, JsonSchema>> {
  return documentJsonSchema(kind).properties?.['spec']?.properties ?? {};
}

/** Paths of `value` that `schema` does not name. */
function strangers(schema: JsonSchema, value: unknown, path: string): string[] {
  if (Array.isArray(value))
    return value.flatMap((item) => (schema.items ? strangers(schema.items, item, `${path}[]`) : [path]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const known = schema.properties?.[key] ?? schema.additionalProperties;
    return known ? strangers(known, child, `${path}.${key}`) : [`${path}.${key}`];
  });
}
