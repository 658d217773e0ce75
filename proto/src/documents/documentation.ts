import type { DocumentKind } from './kinds.js';
import { documentJsonSchema, type JsonSchema } from './json-schema.js';

const INTRODUCTION = `# Documents

Every field of the documents of Tributary, written by \`npm run document -w proto\` from the schemas that check them.
Required fields are marked with \`*\`. Unknown fields are refused. A field "of type X only" belongs to objects whose
\`type\` is X. \`tributary apply --dry-run -f FILE\` checks a document without submitting it.
`;

const TITLES: Readonly<Record<DocumentKind, string>> = {
  FederatedJob:
    'A training job. Applied by its author with `tributary apply`; examples are in `deploy/examples`.',
  ModelRollout:
    'Which version of a model sites serve. Written by `tributary rollout set`, or applied with `tributary apply`.',
  SitePolicy:
    'What a site allows. A file at the site, named in `agent.yaml`; without it the site refuses every job.',
  StreamPipeline:
    'What models answer on: messages of a broker, gathered to records or windows. A file at the site, named in `agent.yaml`.',
};

/** The reference page of all documents, in Markdown. */
export function documentation(): string {
  const sections = (Object.keys(TITLES) as DocumentKind[]).map((kind) => {
    const rows = rowsOf(documentJsonSchema(kind), '').map((row) => `| ${row.map(escape).join(' | ')} |`);
    return [
      `## ${kind}`,
      '',
      TITLES[kind],
      '',
      '| field | type | default | meaning |',
      '|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  });
  return [INTRODUCTION, ...sections].join('\n');
}

type Row = readonly [field: string, type: string, fallback: string, meaning: string];

function rowsOf(schema: JsonSchema, path: string): Row[] {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>;
  const required = new Set(schema['required'] ?? []);
  return Object.entries(properties).flatMap(([name, property]) => {
    const field = path === '' ? name : `${path}.${name}`;
    const shown = `\`${field}${required.has(name) ? '*' : ''}\``;
    const row: Row = [shown, typeOf(property), defaultOf(property), textOf(property['description'])];
    return [row, ...nestedRows(property, field)];
  });
}

function nestedRows(schema: JsonSchema, field: string): Row[] {
  const items = schema['items'] as JsonSchema | undefined;
  return items === undefined ? rowsOf(schema, field) : rowsOf(items, `${field}[]`);
}

function typeOf(schema: JsonSchema): string {
  const values = schema['enum'] as readonly unknown[] | undefined;
  if (values !== undefined) return values.map(code).join(', ');
  const items = schema['items'] as JsonSchema | undefined;
  if (items !== undefined) return `list of ${typeOf(items)}`;
  const range = [schema['minimum'], schema['maximum']].filter((bound) => typeof bound === 'number');
  return range.length === 2 ? `${textOf(schema['type'])}, ${range.join(' to ')}` : textOf(schema['type']);
}

const defaultOf = (schema: JsonSchema): string =>
  schema['default'] === undefined ? '' : code(schema['default']);
const code = (value: unknown): string => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const escape = (cell: string): string => cell.replaceAll('|', '\\|').replaceAll('\n', ' ');
