import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  canonicalText,
  cosignatureLine,
  encodeBase64,
  encodeRotation,
  logIdOf,
  rootDigest,
  rotationOf,
  signCosignature,
  signRotation,
  signTreeHead,
  type ExportLine,
  type FederationRoot,
  type NewEntry,
  type RosterDocument,
} from '@tributary/proto';

import {
  AuditedLedger,
  decided,
  LOG,
  NEXT_ROOT,
  published,
  ROOT,
  SITES,
  submitted,
} from '../../support/audited-ledger.js';
import { found, type Found } from '../../support/audit-verdict.js';
import { CliSession } from '../../support/cli-session.js';
import { mutations, type Members, type Mutation } from '../../support/export-mutations.js';
import {
  verifyAllWithPage,
  verifyAllWithPython,
  withoutPython,
  type Verdict,
} from '../../support/python-verifier.js';
import { rawExport } from '../../support/raw-export.js';
import { keyOf, memberOf, publishedBody, rootOf, rosterOf, signedBy } from '../../support/roster.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

const KEY = encodeBase64(LOG.publicKey);
const why = withoutPython();
const both = why === undefined ? 'both verifiers' : `one verifier (${why})`;

/**
 * What the page of the second verifier passes, as "In a page" of proto/LEDGER.md says: what cosignatures claim, and what
 * entries say. It passes nothing else, and refuses every part of a ledger.
 */
const BEYOND_THE_PAGE: ReadonlySet<string> = new Set([
  ...['another tree was seen', 'two trees were seen', 'a larger tree was seen', 'nothing was seen'],
  ...['the sizes fall', 'by nobody'],
  ...['another author', 'no key of an author', 'another document', 'no document', 'of another approver'],
  ...['a decision turned round', 'a decision of another site', 'of nobody', 'begun twice'],
  ...['a model of another key', 'no signature', 'no body', 'null in a body', 'a fraction in a body'],
  ...['no such day', 'a year without a day', 'a month of one digit', 'a number in the place of a text'],
  ...['another number', 'a member more', 'a newer version'],
  ...['by the root that handed over', 'by a key of the root before', 'shown again', 'expired', 'no roster'],
  ...['a hand-over by a stranger', 'a hand-over of the root before'],
]);

/** What the page says of an export of which the whole verifier says this. */
function onThePage({ name, text }: Mutation, { code, line }: Found): readonly unknown[] {
  const claimed = name.startsWith('Cosignature.') && code === 'SIGNATURE_INVALID';
  if (line !== 1 && text.slice(0, text.indexOf('\n')).includes('"part":')) return ['USAGE', 1];
  if (claimed || BEYOND_THE_PAGE.has(name)) return [undefined, undefined];
  // Where a cosigned tree is contradicted, the head is, too: after the last entry.
  return code === 'LEDGER_FORKED' ? ['PROOF_INVALID', text.trimEnd().split('\n').length - 1] : [code, line];
}

describe('an export of the ledger of which anything was changed', function () {
  this.timeout(100_000);
  let folder: TemporaryDirectory;

  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  async function exported(...words: readonly string[]): Promise<string> {
    const ledger = await AuditedLedger.create();
    ledger.cosigned.push({ site: 'east', size: 7 }, { site: 'north', size: 12 });
    const file = join(folder.path, randomUUID());
    await new CliSession(ledger.answers()).run('audit', 'export', '--file', file, ...words);
    return readFile(file, 'utf8');
  }

  /** Every mutation is noticed, and with the same code in the same line by both. */
  async function requireNoticed(cases: readonly Mutation[], root?: string): Promise<readonly string[]> {
    const files = cases.map((_, index) => join(folder.path, `case-${String(index)}`));
    for (const [index, { text }] of cases.entries()) await writeFile(files[index] ?? '', text);
    const words = root === undefined ? [] : ['--root', root];
    const python = why === undefined ? verifyAllWithPython(files, '--log-key', KEY, ...words) : undefined;
    const page = why === undefined ? verifyAllWithPage(files, KEY) : undefined;
    const codes: string[] = [];
    for (const [index, mutation] of cases.entries()) {
      const terms = { logKey: LOG.publicKey, ...(root !== undefined && { root: ROOT }) };
      const own = await found(files[index] ?? '', terms);
      const { code, line } = own;
      codes.push(code);
      assert.notEqual(code, 'OK', mutation.name);
      if (python === undefined || page === undefined) continue;
      const said = ({ code, line, what }: Verdict = { exit: null }) => [code, line, what];
      assert.deepEqual(
        said(python[index]).slice(0, 2),
        [code, line],
        `${mutation.name}: ${said(python[index]).join()}`,
      );
      assert.deepEqual(
        said(page[index]).slice(0, 2),
        onThePage(mutation, own),
        `${mutation.name}, on the page`,
      );
    }
    return codes;
  }

  it(`is not in order: every member of every kind of line, by ${both}`, async () => {
    const whole = mutations(await exported());
    const part = mutations(await exported('--job', 'loans', '--redact', 'round.opened'));
    assert.ok(whole.length > 150 && part.length > 200, `${String(whole.length)} and ${String(part.length)}`);
    const hidden = mutations(await exported('--redact', 'round.opened'));
    const redacted = hidden.filter(({ name }) => name.startsWith('Redacted'));
    await requireNoticed([...whole, ...part, ...redacted]);
  });

  it('is in order on the page where nothing was changed, and only by the key of its log', async function () {
    if (why !== undefined) this.skip();
    const files = ['whole', 'hidden'].map((name) => join(folder.path, name));
    await writeFile(files[0] ?? '', await exported());
    await writeFile(files[1] ?? '', await exported('--redact', 'round.opened'));
    const said = verifyAllWithPage(files, logIdOf(LOG.publicKey));
    assert.deepEqual(
      said.map(({ exit, entries, redacted }) => [exit, entries, redacted]),
      [
        [0, 19, 0],
        [0, 18, 1],
      ],
    );
    const [other] = verifyAllWithPage(files, encodeBase64(keyOf('a stranger').publicKey));
    assert.deepEqual([other?.exit, other?.code, other?.line], [28, 'SIGNATURE_INVALID', 1]);
  });

  /** What a coordinator can sign as well as anything else. */
  async function requireRefused(
    cases: readonly (readonly [string, (ledger: AuditedLedger) => Promise<string>, string])[],
    root?: string,
  ): Promise<void> {
    const files: Mutation[] = [];
    for (const [name, write] of cases) files.push({ name, text: await write(await AuditedLedger.create()) });
    const codes = await requireNoticed(files, root);
    for (const [index, [name, , code]] of cases.entries()) assert.equal(codes[index], code, name);
  }

  const added = (entry: NewEntry) => async (ledger: AuditedLedger) => {
    await ledger.add(entry);
    return rawExport(ledger);
  };
  const raw = (change: Members) => async (ledger: AuditedLedger) => {
    const entry = { v: 1, seq: String(ledger.bytes.length), time: '2026-01-03T00:00:00.000Z', type: 'x.y' };
    const all: Members = { ...entry, actor: 'coordinator', subject: 'federation', body: {}, ...change };
    await ledger.addBytes(new TextEncoder().encode(canonicalText(all)));
    return rawExport(ledger);
  };

  it(`is refused where statements are not what was signed, by ${both}`, async () => {
    const job = submitted();
    const rejected = decided('north', 'job.rejected');
    assert.ok(job.type === 'job.submitted' && rejected.type === 'job.rejected');
    const stranger = encodeBase64(keyOf('a stranger').publicKey);
    const changed = <T extends NewEntry>(entry: T, change: Partial<T['body']>): NewEntry =>
      ({ ...entry, body: { ...entry.body, ...change } }) as NewEntry;
    const model = (signature: string): NewEntry => ({
      ...{ type: 'model.registered', actor: 'coordinator', subject: 'model/loans' },
      body: {
        ...{ model: 'loans', version: 2, jobId: job.body.jobId, signature },
        ...{ weightsDigest: `sha256:${'0'.repeat(64)}`, manifestDigest: `sha256:${'1'.repeat(64)}` },
      },
    });
    await requireRefused([
      ['another author', added(changed(job, { authorKey: stranger })), 'SIGNATURE_INVALID'],
      ['no key of an author', added(changed(job, { authorKey: 'AAA' })), 'SIGNATURE_INVALID'],
      [
        'another document',
        added(changed(job, { document: job.body.document.replace('loans', 'cards') })),
        'SIGNATURE_INVALID',
      ],
      ['no document', added(changed(job, { document: '{}' })), 'SIGNATURE_INVALID'],
      ['a decision turned round', added({ ...rejected, type: 'job.approved' }), 'SIGNATURE_INVALID'],
      ['a decision of another site', added(changed(rejected, { site: 'west' })), 'SIGNATURE_INVALID'],
      ['of nobody', added(changed(rejected, { agentId: 'agt-nobody' })), 'SIGNATURE_INVALID'],
      ['of another approver', added(changed(rejected, { approverKey: stranger })), 'SIGNATURE_INVALID'],
      [
        'a model of another key',
        added(model(encodeBase64(keyOf('x').sign(new Uint8Array())))),
        'SIGNATURE_INVALID',
      ],
      ['no signature', added(model('AA')), 'SIGNATURE_INVALID'],
      [
        'begun twice',
        async (ledger) => {
          const [first = new Uint8Array()] = ledger.bytes;
          const { body } = JSON.parse(new TextDecoder().decode(first)) as { body: Members };
          return raw({ type: 'federation.created', body })(ledger);
        },
        'SIGNATURE_INVALID',
      ],
      ['no body', raw({ type: 'job.submitted', body: { jobId: 'x' } }), 'EXPORT_CORRUPT'],
      ['null in a body', raw({ body: { a: [null] } }), 'EXPORT_CORRUPT'],
      ['a fraction in a body', raw({ body: { a: 0.5 } }), 'EXPORT_CORRUPT'],
      ['no such day', raw({ time: '2026-02-30T00:00:00.000Z' }), 'EXPORT_CORRUPT'],
      ['a year without a day', raw({ time: '0000-01-01T00:00:00.000Z' }), 'EXPORT_CORRUPT'],
      ['a month of one digit', raw({ time: '2026-1-03T00:00:00.0000Z' }), 'EXPORT_CORRUPT'],
      [
        'a number in the place of a text',
        raw({ type: 'agent.enrolled', body: { agentId: 'x', site: 'x', identityKey: 1 } }),
        'EXPORT_CORRUPT',
      ],
      ['another number', raw({ seq: '7' }), 'EXPORT_CORRUPT'],
      ['a member more', raw({ more: 1 }), 'EXPORT_CORRUPT'],
      ['a newer version', raw({ v: 2 }), 'FORMAT_UNSUPPORTED'],
    ]);
  });

  it(`is in order where members that do not count are of another form, or not there, by ${both}`, async () => {
    const ledger = await AuditedLedger.create();
    const body = { agentId: 'x', site: 'Some where', identityKey: 'no key', keyDigest: 7 };
    const file = join(folder.path, 'uncounted');
    await writeFile(file, await raw({ type: 'agent.enrolled', body })(ledger));
    assert.equal((await found(file, { logKey: LOG.publicKey })).code, 'OK');
    if (why === undefined) assert.equal(verifyAllWithPython([file], '--log-key', KEY)[0]?.exit, 0);
  });

  it(`is refused where rosters do not follow from the root, by ${both}`, async () => {
    await writeFile(join(folder.path, 'root.json'), JSON.stringify(ROOT));
    const roster = (holder: string, root: FederationRoot, change: Partial<RosterDocument> = {}) => {
      const document = rosterOf(root, SITES, { version: 3, ...change });
      return added(published(document, signedBy(document, holder)));
    };
    const rotated = (holder: string, from: FederationRoot) => {
      const to = rootOf(1, 'cyd');
      const document = signRotation(rotationOf(from, to), keyOf(holder));
      return added({
        ...{ type: 'root.rotated', actor: 'context/root', subject: 'federation' },
        body: {
          ...{ previous: rootDigest(from), root: rootDigest(to) },
          document: new TextDecoder().decode(encodeRotation(document)),
        },
      });
    };
    await requireRefused(
      [
        ['by the root that handed over', roster('ann', ROOT), 'ROSTER_INVALID'],
        ['by a key of the root before', roster('ann', NEXT_ROOT), 'ROSTER_INVALID'],
        ['shown again', roster('ben', NEXT_ROOT, { version: 2 }), 'ROSTER_INVALID'],
        [
          'expired',
          roster('ben', NEXT_ROOT, {
            issued: '2025-01-01T00:00:00.000Z',
            expires: '2026-01-01T00:00:00.000Z',
          }),
          'ROSTER_EXPIRED',
        ],
        ['a hand-over by a stranger', rotated('eve', NEXT_ROOT), 'ROSTER_INVALID'],
        ['a hand-over of the root before', rotated('ann', ROOT), 'ROSTER_INVALID'],
        [
          'no roster',
          raw({ type: 'roster.published', body: { ...bodyOfRoster(), document: '{}' } }),
          'ROSTER_INVALID',
        ],
      ],
      join(folder.path, 'root.json'),
    );
  });

  it(`is refused where heads were signed that the entries do not have, by ${both}`, async () => {
    const signer = keyOf('agent of east');
    const { agentId } = memberOf('east');
    const said = (treeSize: number, rootHash: Uint8Array, key = signer) => {
      const signed = signCosignature(
        key,
        agentId,
        { logId: logIdOf(LOG.publicKey), treeSize, rootHash },
        '2026-02-01T00:00:01.000Z',
      );
      return cosignatureLine(signed, key.publicKey);
    };
    const zeros = new Uint8Array(32);
    const of =
      (lines: (ledger: AuditedLedger) => Promise<readonly ExportLine[]>) => async (ledger: AuditedLedger) =>
        rawExport(ledger, await lines(ledger));
    const root = (ledger: AuditedLedger, size: number) => ledger.store.rootHash(size);
    await requireRefused([
      ['another tree was seen', of(() => Promise.resolve([said(5, zeros)])), 'LEDGER_FORKED'],
      [
        'two trees were seen',
        of(async (ledger) => [said(5, await root(ledger, 5)), said(5, zeros)]),
        'LEDGER_FORKED',
      ],
      [
        'a larger tree was seen',
        of((ledger) => Promise.resolve([said(ledger.bytes.length + 1, zeros)])),
        'EXPORT_CORRUPT',
      ],
      ['nothing was seen', of(() => Promise.resolve([said(0, zeros)])), 'SIGNATURE_INVALID'],
      [
        'the sizes fall',
        of(async (ledger) => [said(6, await root(ledger, 6)), said(5, await root(ledger, 5))]),
        'EXPORT_CORRUPT',
      ],
      [
        'by nobody',
        of(async (ledger) => [said(5, await root(ledger, 5), keyOf('eve'))]),
        'SIGNATURE_INVALID',
      ],
      [
        'the head is of another tree',
        async (ledger) => {
          const [logId, treeSize] = [logIdOf(LOG.publicKey), ledger.bytes.length];
          const time = '2026-02-01T00:00:00.000Z';
          return rawExport(ledger, [], signTreeHead(LOG, { logId, treeSize, rootHash: zeros, time }));
        },
        'PROOF_INVALID',
      ],
      [
        'the head is of fewer',
        async (ledger) => rawExport(ledger, [], await ledger.head(9)),
        'EXPORT_CORRUPT',
      ],
    ]);
  });
});

/** Members of a published roster besides its document. */
function bodyOfRoster(): Members {
  const document = rosterOf(NEXT_ROOT, SITES, { version: 3 });
  return { ...publishedBody(document, signedBy(document, 'ben')) };
}
