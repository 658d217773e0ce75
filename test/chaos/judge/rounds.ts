import type { LedgerEntry } from '@tributary/proto';

import { entriesOf } from '../../support/ledger-audit.js';
import { attemptOf, breach, type Breach, type Facts } from './facts.js';

type OfType<T extends LedgerEntry['type']> = Extract<LedgerEntry, { readonly type: T }>;

/** Every job that had to has ended well, and with all its rounds. */
export function judgeJobs({ entries, jobs }: Pick<Facts, 'entries' | 'jobs'>): readonly Breach[] {
  return jobs.flatMap((job) => {
    const ends = entries.filter(
      (entry) => (entry.type === 'job.completed' || entry.type === 'job.failed') && entry.body.jobId === job,
    );
    const [end] = ends;
    if (end === undefined) return [breach('unfinished', `${job} did not end`)];
    if (ends.length > 1) return [breach('doubled', `${job} ended ${String(ends.length)} times`)];
    if (end.type === 'job.failed')
      return [breach('unfinished', `${job} failed: ${end.body.code} ${end.body.detail}`)];
    return judgeChain(entries, job);
  });
}

/** Each round was committed once, in order, on the model of the one before it. */
function judgeChain(entries: readonly LedgerEntry[], job: string): readonly Breach[] {
  const breaches: Breach[] = [];
  const committed = entriesOf(entries, 'round.committed').filter(({ body }) => body.jobId === job);
  let base = entriesOf(entries, 'job.started').find(({ body }) => body.jobId === job)?.body.modelDigest;
  for (const [index, { body }] of committed.entries()) {
    if (body.round !== index + 1)
      breaches.push(
        breach(
          body.round <= index ? 'doubled' : 'lost',
          `${attemptOf(body)} was committed as number ${String(index + 1)}`,
        ),
      );
    const opened = entriesOf(entries, 'round.opened').filter(
      (entry) => attemptOf(entry.body) === attemptOf(body),
    );
    if (opened.length !== 1)
      breaches.push(breach('doubled', `${attemptOf(body)} was opened ${String(opened.length)} times`));
    if (opened[0]?.body.baseDigest !== base)
      breaches.push(breach('model', `${attemptOf(body)} is not based on the round before`));
    base = body.modelDigest;
  }
  return breaches;
}

/** No attempt was opened twice or settled twice; what was accepted is in the sum of its attempt once, unless that failed. */
export function judgeUpdates({ entries }: Pick<Facts, 'entries'>): readonly Breach[] {
  const breaches: Breach[] = [];
  const once = (seen: Set<string>, name: string): void => {
    if (seen.has(name)) breaches.push(breach('doubled', name));
    seen.add(name);
  };
  const [opened, settled, accepted, uploads] = [
    new Set<string>(),
    new Set<string>(),
    new Set<string>(),
    new Set<string>(),
  ];
  for (const { body } of entriesOf(entries, 'round.opened'))
    once(opened, `${attemptOf(body)} was opened again`);
  for (const { body } of entriesOf(entries, 'update.accepted')) {
    once(accepted, `an update of ${body.site} for ${attemptOf(body)} was accepted again`);
    once(uploads, `${body.uploadId} was accepted again`);
  }
  for (const entry of entries) {
    if (entry.type === 'round.committed') breaches.push(...judgeSum(entry, entries));
    if (entry.type !== 'round.committed' && entry.type !== 'round.failed') continue;
    once(settled, `${attemptOf(entry.body)} was settled again`);
  }
  for (const name of new Set(entriesOf(entries, 'update.accepted').map(({ body }) => attemptOf(body))))
    if (!settled.has(`${name} was settled again`))
      breaches.push(breach('lost', `${name} took updates and was never settled`));
  return breaches;
}

function judgeSum({ body }: OfType<'round.committed'>, entries: readonly LedgerEntry[]): readonly Breach[] {
  const accepted = entriesOf(entries, 'update.accepted')
    .filter((entry) => attemptOf(entry.body) === attemptOf(body))
    .map((entry) => entry.body.uploadId);
  const lost = accepted.filter((uploadId) => !body.folded.includes(uploadId));
  const doubled = body.folded.filter(
    (uploadId, index) => body.folded.indexOf(uploadId) !== index || !accepted.includes(uploadId),
  );
  return [
    ...lost.map((uploadId) => breach('lost', `${uploadId} was accepted and is not in ${attemptOf(body)}`)),
    ...doubled.map((uploadId) =>
      breach('doubled', `${uploadId} is in ${attemptOf(body)} twice, or was never accepted`),
    ),
  ];
}

/** What an agent was told is accepted stands in the ledger where it was told. */
export function judgeReceipts({ entries, receipts }: Pick<Facts, 'entries' | 'receipts'>): readonly Breach[] {
  return receipts.flatMap(({ uploadId, seq }) => {
    const entry = entries[seq];
    if (entry?.type === 'update.accepted' && entry.body.uploadId === uploadId) return [];
    return [breach('lost', `${uploadId} was acknowledged as entry ${String(seq)}, which says otherwise`)];
  });
}
