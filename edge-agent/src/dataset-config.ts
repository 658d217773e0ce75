import { LIMITS, TributaryError } from '@tributary/proto';
import { z } from 'zod';

import type { DatasetDeclaration, SourceDeclaration } from './domain/datasets/declaration.js';

const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const TABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FORMATS = 'write Csv, Parquet, Json, NdJson or FhirNdJson';

const text = z.string().min(1);
const character = z.string().length(1, 'write one character');
const files = { path: text.optional(), glob: text.optional() };

const options = {
  Csv: {
    format: z.literal('Csv'),
    delimiter: character.default(','),
    quote: character.default('"'),
    encoding: z.enum(['Utf8', 'Latin1']).default('Utf8'),
  },
  Parquet: { format: z.literal('Parquet') },
  Json: { format: z.literal('Json') },
  NdJson: { format: z.literal('NdJson') },
  FhirNdJson: {
    format: z.literal('FhirNdJson'),
    resourceType: z
      .string()
      .regex(/^[A-Za-z]{1,64}$/, 'a FHIR resource type, such as Patient')
      .optional(),
    columns: z
      .array(
        z.strictObject({
          name: text.max(256),
          path: z.string().regex(/^\$/, 'a JSON path, such as $.gender'),
        }),
      )
      .min(1)
      .max(1_000)
      .optional(),
  },
} as const;

const source = {
  name: z.string().max(63).regex(TABLE, 'use a-z A-Z 0-9 _ and begin with a letter'),
  ...files,
};
const dataset = {
  name: z.string().max(63).regex(NAME, 'use a-z 0-9 - . and begin and end with a letter or digit'),
  view: text.max(LIMITS.viewLength).optional(),
  key: text.optional(),
};

const sourceSchema = z.discriminatedUnion(
  'format',
  [
    z.strictObject({ ...source, ...options.Csv }),
    z.strictObject({ ...source, ...options.Parquet }),
    z.strictObject({ ...source, ...options.Json }),
    z.strictObject({ ...source, ...options.NdJson }),
    z.strictObject({ ...source, ...options.FhirNdJson }),
  ],
  FORMATS,
);

const shortSchema = z.discriminatedUnion(
  'format',
  [
    z.strictObject({ ...dataset, ...files, ...options.Csv }),
    z.strictObject({ ...dataset, ...files, ...options.Parquet }),
    z.strictObject({ ...dataset, ...files, ...options.Json }),
    z.strictObject({ ...dataset, ...files, ...options.NdJson }),
    z.strictObject({ ...dataset, ...files, ...options.FhirNdJson }),
  ],
  FORMATS,
);

const longSchema = z.strictObject({
  ...dataset,
  sources: z.array(sourceSchema).min(1).max(LIMITS.datasetSources),
});

/** The table name of the only source of a dataset in the short form. */
const ONLY_SOURCE = 'source';

/** One entry of `datasets` of agent.yaml: with `sources`, or short with one file or glob of its own. */
export const datasetConfigSchema = z.unknown().transform((value, context): DatasetDeclaration => {
  const long = typeof value === 'object' && value !== null && 'sources' in value;
  const parsed = long ? longSchema.safeParse(value) : shortSchema.safeParse(value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) context.addIssue({ ...issue });
    return z.NEVER;
  }
  const declaration = 'sources' in parsed.data ? parsed.data : fromShort(parsed.data);
  for (const [path, message] of problemsOf(declaration as DatasetDeclaration))
    context.addIssue({ code: 'custom', path: [...path], message });
  return declaration as DatasetDeclaration;
});

function fromShort({ name, view, key, ...only }: z.output<typeof shortSchema>) {
  return {
    name,
    sources: [{ ...only, name: ONLY_SOURCE }],
    ...(view === undefined ? {} : { view }),
    ...(key === undefined ? {} : { key }),
  };
}

type Problem = readonly [path: readonly string[], message: string];

function problemsOf({ sources, view }: DatasetDeclaration): readonly Problem[] {
  const problems: Problem[] = [];
  for (const { name, path, glob } of sources) {
    if ((path === undefined) === (glob === undefined))
      problems.push([['path'], `source ${name} needs either path or glob`]);
    if (glob !== undefined && /[*?].*\//.test(glob))
      problems.push([['glob'], '* and ? may stand in the last part of the path only']);
  }
  const names = sources.map(({ name }) => name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) problems.push([['sources'], `the name ${twice} occurs twice; give each its own`]);
  if (sources.length > 1 && view === undefined)
    problems.push([['view'], 'with several sources, write the SELECT that makes one table of them']);
  return problems;
}

/** The declaration with absolute paths. Throws CONFIG_INVALID where `at` does. */
export function withPaths(declaration: DatasetDeclaration, at: (path: string) => string): DatasetDeclaration {
  return { ...declaration, sources: declaration.sources.map((one) => located(one, at)) };
}

function located(one: SourceDeclaration, at: (path: string) => string): SourceDeclaration {
  if (one.path !== undefined) return { ...one, path: at(one.path) };
  if (one.glob !== undefined) return { ...one, glob: at(one.glob) };
  throw new TributaryError('CONFIG_INVALID', `datasets: source ${one.name} needs path or glob`);
}
