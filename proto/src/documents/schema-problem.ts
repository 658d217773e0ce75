import type { z } from 'zod';

import { nearest } from './nearest.js';
import { quote, type Path, type Problem } from './problem.js';
import type { SchemaNode } from './schema-node.js';

type Issue = z.core.$ZodIssue;

/** Puts the issues of a schema into the words of {@link Problem}, with the document at hand to name what is there. */
export function schemaProblems(issues: readonly Issue[], root: SchemaNode, document: unknown): Problem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownField(key, path, nodeAt(root, path), valueAt(document, path)));
    }
    return [problemOf(issue, path, valueAt(document, path))];
  });
}

function problemOf(issue: Issue, path: Path, value: unknown): Problem {
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(path, issue.expected, value);
    case 'invalid_value':
      return wrongValue(path, issue.values.map(String), value);
    case 'invalid_union':
      return wrongValue(path, discriminators(issue), value);
    case 'too_small':
      return outOfRange(
        path,
        issue.origin,
        issue.inclusive === false ? 'more than' : 'at least',
        issue.minimum,
      );
    case 'too_big':
      return outOfRange(
        path,
        issue.origin,
        issue.inclusive === false ? 'less than' : 'at most',
        issue.maximum,
      );
    case 'invalid_key':
      return fromMessage(path, issue.issues[0]?.message ?? issue.message);
    default:
      return fromMessage(path, issue.message);
  }
}

/** The types of a union by `type`; other unions do not occur in documents. */
function discriminators(issue: z.core.$ZodIssueInvalidUnion): string[] {
  return 'options' in issue ? (issue.options ?? []).map(String) : [];
}

/** Messages of patterns and refinements are written as `what; fix`. */
function fromMessage(path: Path, message: string): Problem {
  const [what = message, ...fix] = message.split('; ');
  return { path, what, fix: fix.join('; ') || 'correct it' };
}

function wrongType(path: Path, expected: string, value: unknown): Problem {
  const wanted = TYPE_NAMES[expected] ?? expected;
  if (value === undefined) return { path, what: 'is missing', fix: `add it (${wanted})` };
  return { path, what: `is ${kindOf(value)}`, fix: `write ${wanted}` };
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'object':
      return 'a mapping';
    case 'string':
      return 'a text';
    case 'boolean':
      return 'a truth value';
    case 'number':
      return Number.isInteger(value) ? 'a whole number' : 'a number with a fraction';
    default:
      return `a ${typeof value}`;
  }
}

function wrongValue(path: Path, allowed: readonly string[], value: unknown): Problem {
  const choice = allowed.length === 1 ? `write ${allowed.join()}` : `use one of ${allowed.join(', ')}`;
  if (value === undefined) return { path, what: 'is missing', fix: choice };
  if (typeof value !== 'string') return { path, what: `is ${kindOf(value)}`, fix: choice };
  const meant = nearest(value, allowed);
  return {
    path,
    what: `${quote(value)} is not known`,
    fix: meant === undefined ? choice : `did you mean ${meant}?`,
  };
}

function outOfRange(path: Path, origin: string, relation: string, bound: number | bigint): Problem {
  const units: Readonly<Record<string, string>> = { string: ' characters', array: ' items' };
  const unit = units[origin] ?? '';
  const verb = unit === '' ? 'must be' : 'must have';
  const grow = relation === 'at least' || relation === 'more than';
  const [more, less] = unit === '' ? ['raise it', 'lower it'] : ['add some', 'shorten it'];
  return { path, what: `${verb} ${relation} ${String(bound)}${unit}`, fix: (grow ? more : less) ?? '' };
}

function unknownField(key: string, parent: Path, node: SchemaNode | undefined, value: unknown): Problem {
  const path = [...parent, key];
  const known = Object.keys(node?.properties ?? {});
  if (known.includes(key)) {
    const type = (value as { readonly type?: unknown } | undefined)?.type;
    const owners = (node?.variants?.[key] ?? []).join(' or ');
    return { path, what: `does not belong to type ${String(type)}`, fix: `remove it, or use type ${owners}` };
  }
  const meant = nearest(key, known);
  if (meant !== undefined) return { path, what: 'unknown field', fix: `did you mean ${meant}?` };
  return { path, what: 'unknown field', fix: `remove it; known here: ${known.join(', ')}` };
}

/** The schema of what is at `path`. */
function nodeAt(root: SchemaNode, path: Path): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const step of path) node = typeof step === 'number' ? node?.items : node?.properties?.[step];
  return node;
}

function valueAt(document: unknown, path: Path): unknown {
  let value: unknown = document;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[step];
  }
  return value;
}
