import { TributaryError } from '../errors/tributary-error.js';
import type { EntryOutline } from './entry-outline.js';

const DECISION = [
  ...(['jobId', 'site', 'agentId', 'jobDigest'] as const),
  ...(['approverKey', 'decidedAt', 'signature', 'siteSignature'] as const),
] as const;

/** Types of entries that an auditor judges, and the members of their bodies that count for it: texts, all of them. */
const STATEMENTS = {
  'federation.created': ['logKey', 'modelKey'],
  'agent.enrolled': ['agentId', 'site', 'identityKey'],
  'job.submitted': ['jobId', 'document', 'authorKey', 'signature'],
  'rollout.applied': ['document', 'authorKey', 'signature'],
  'job.approved': DECISION,
  'job.rejected': DECISION,
  'model.registered': ['manifestDigest', 'signature'],
  'roster.published': ['document'],
  'root.rotated': ['document'],
} as const;

type StatementType = keyof typeof STATEMENTS;

/** What an entry states, of whatever form its texts are: the checks of it say. */
export interface StatementOf<T extends StatementType> {
  readonly type: T;
  readonly seq: number;
  readonly time: string;
  readonly body: Readonly<Record<(typeof STATEMENTS)[T][number], string>>;
}
export type Statement = { readonly [T in StatementType]: StatementOf<T> }[StatementType];

/** What the entry states; undefined for one that states nothing. Throws EXPORT_CORRUPT where a member is missing or no text. */
export function readStatement({ type, seq, time, body }: EntryOutline): Statement | undefined {
  if (!isStatement(type)) return undefined;
  if (STATEMENTS[type].some((member) => typeof body[member] !== 'string'))
    throw new TributaryError('EXPORT_CORRUPT', `the entry has no body of ${type}`);
  // Its members were checked above: the pair that the compiler cannot follow.
  return { type, seq, time, body } as Statement;
}

const isStatement = (type: string): type is StatementType => Object.hasOwn(STATEMENTS, type);
