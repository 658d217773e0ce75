import { isJsonObject, parseCanonical, LIMITS, type JsonObject, type JsonValue } from '@tributary/proto';
import type { Event__Output } from '@tributary/proto/grpc';

import { readObject, text } from '../objects.js';
import { age } from '../output/age.js';
import { evaluationLines, evaluationOf } from '../output/evaluation.js';
import { formatValue, type OutputFormat } from '../output/formats.js';
import { tableLines, type Column } from '../output/table.js';
import { requireReference } from '../reference.js';
import type { Session } from '../session.js';

/** Keys, digests and signatures are for machines; `describe -o json` has them. */
const LEFT_OUT = new Set([
  'document',
  'authorKey',
  'signature',
  'identityKey',
  'roundKey',
  'key',
  'jobId',
  'layoutDigest',
  'keyDigest',
  'agentId',
  'baseDigest',
  'headerDigest',
  'sealDigest',
  'transcriptDigest',
  'uploadId',
  'folded',
  'selectionSeed',
  'stages',
  'vectorLength',
  'evaluation',
]);

/** The object with every ledger entry that concerns it: what happened, when, by whom, and why something failed. */
export async function describe(
  session: Session,
  first: string,
  second: string | undefined,
  output: OutputFormat,
): Promise<void> {
  const admin = await session.admin();
  const description = await admin.unary('DescribeObject', requireReference(first, second));
  const object = readObject(description.object);
  const events = description.events.map((event) => ({
    ...event,
    body: parseCanonical(event.body, LIMITS.ledgerEntryBytes),
  }));
  if (output !== 'table') {
    session.terminal.out(formatValue({ ...object.document, events }, output));
    return;
  }
  const groups = evaluationOf(object.document);
  session.terminal.out(formatValue(withoutGroups(object.document), 'yaml'));
  if (groups.length > 0) session.terminal.out('evaluation:');
  if (groups.length > 0) for (const line of evaluationLines(groups)) session.terminal.out(line);
  session.terminal.out('events:');
  const columns: readonly Column<ShownEvent>[] = [
    { title: '  SEQ', cell: (event) => `  ${event.seq}` },
    { title: 'AGE', cell: (event) => age(event.time, session.now()) },
    { title: 'TYPE', cell: (event) => event.type },
    { title: 'ACTOR', cell: (event) => event.actor },
    { title: 'DETAIL', cell: (event) => detail(event.body) },
  ];
  for (const line of tableLines(columns, events)) session.terminal.out(line);
}

/** Their table says it better. */
function withoutGroups(document: JsonObject): JsonObject {
  const { status } = document;
  if (!isJsonObject(status)) return document;
  const { evaluation: _, ...rest } = status;
  return { ...document, status: rest };
}

type ShownEvent = Omit<Event__Output, 'body'> & { readonly body: JsonValue };

function detail(body: JsonValue): string {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return '';
  return Object.entries(body)
    .filter(([key]) => !LEFT_OUT.has(key))
    .map(
      ([key, value]) =>
        `${key}=${key === 'cohort' ? sitesOf(value as JsonValue) : scalar(value as JsonValue)}`,
    )
    .join(' ');
}

function scalar(value: JsonValue): string {
  return typeof value === 'string'
    ? value.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]*$/, '$1')
    : JSON.stringify(value);
}

function sitesOf(cohort: JsonValue): string {
  return Array.isArray(cohort)
    ? JSON.stringify(cohort.map((member: JsonValue) => text(member, ['site'])))
    : '';
}
