import {
  canonicalText,
  digestOf,
  encodeBase64,
  encodeEntry,
  ENTRY_VERSION,
  leafHash,
  logIdOf,
  parseDocument,
  parseFederatedJob,
  rotationOf,
  encodeRotation,
  signCosignature,
  signDocument,
  signManifest,
  signRotation,
  signTreeHead,
  rootDigest,
  transcript,
  type Digest,
  type FederatedJob,
  type NewEntry,
  type SignedTreeHead,
} from '@tributary/proto';
import { MemoryLedgerStore } from '@tributary/coordinator/internal/adapters/memory/ledger-store.js';

import type { AdminAnswers } from './cli-session.js';
import { jobDocument } from './job-document.js';
import { keyOf, memberOf, publicKeyOf, publishedBody, rootOf, rosterOf, signedBy } from './roster.js';
import { scriptedId } from './scripted-log.js';

export const LOG = keyOf('log');
export const ROOT = rootOf(1, 'ann');
export const NEXT_ROOT = rootOf(1, 'ben');
const MODEL = keyOf('model');
const AUTHOR = keyOf('author');
export const SITES = ['east', 'north', 'west'] as const;

const digest = (name: string): Digest => digestOf(new TextEncoder().encode(name));
const JOB = scriptedId('job', 'loans');
const ROLLOUT = scriptedId('rol', 'loans');

/** A ledger with every kind of signature in it, and what its coordinator would answer the `tributary` command. */
export class AuditedLedger {
  readonly store = new MemoryLedgerStore();
  readonly bytes: Uint8Array[] = [];
  readonly cosigned: { readonly site: string; readonly size: number }[] = [];
  #minute = 0;

  /** Enrolment, a job with its decisions, a round, a registered model, a rollout, and a new root. */
  static async create(): Promise<AuditedLedger> {
    const ledger = new AuditedLedger();
    for (const entry of history()) await ledger.add(entry);
    return ledger;
  }

  /** Appends an entry, a minute after the one before. */
  async add(entry: NewEntry): Promise<void> {
    const time = new Date(Date.UTC(2026, 0, 2, 0, (this.#minute += 1))).toISOString();
    await this.addBytes(encodeEntry({ ...entry, v: ENTRY_VERSION, seq: this.bytes.length, time }));
  }

  async addBytes(bytes: Uint8Array): Promise<void> {
    await this.store.append(this.bytes.length, [bytes]);
    this.bytes.push(bytes);
  }

  async head(size = this.bytes.length, time = '2026-02-01T00:00:00.000Z'): Promise<SignedTreeHead> {
    const rootHash = await this.store.rootHash(size);
    return signTreeHead(LOG, { logId: logIdOf(LOG.publicKey), treeSize: size, rootHash, time });
  }

  /** What the coordinator answers; `counts` calls of GetEntries, and `fails` after so many entries. */
  answers(options: { failAfter?: number } = {}): AdminAnswers {
    let given = 0;
    const { store } = this;
    return {
      GetVersion: () => ({ logKey: LOG.publicKey }),
      GetTreeHead: async () => {
        const head = await this.head();
        return { ...head, treeSize: String(head.treeSize) };
      },
      GetCosignatures: async () => Promise.all(this.cosigned.map((one) => this.#cosignature(one))),
      GetEntries: async function* ({ start, limit }) {
        for await (const { seq, bytes } of store.read(Number(start), Number(start) + Number(limit))) {
          if ((given += 1) > (options.failAfter ?? Number.POSITIVE_INFINITY))
            throw new Error('the line broke');
          yield await Promise.resolve({
            seq: String(seq),
            entry: bytes,
            redacted: false,
            leafHash: leafHash(bytes),
          });
        }
      },
      GetInclusionProof: async ({ seq, treeSize }) => ({
        path: await store.inclusionProof(Number(seq), Number(treeSize)),
      }),
      GetConsistencyProof: async ({ first, second }) => ({
        path: await store.consistencyProof(Number(first), Number(second)),
      }),
    };
  }

  async #cosignature({ site, size }: { readonly site: string; readonly size: number }): Promise<unknown> {
    const { agentId } = memberOf(site);
    const head = await this.head(size);
    const signed = signCosignature(keyOf(`agent of ${site}`), agentId, head, '2026-02-01T00:00:01.000Z');
    const { rootHash, time, signature } = signed;
    const identityKey = keyOf(`agent of ${site}`).publicKey;
    return { agentId, identityKey, cosignature: { treeSize: String(size), rootHash, time, signature } };
  }
}

/** The job as it is recorded. */
const JOB_DOCUMENT: FederatedJob = parseFederatedJob({
  ...jobDocument(),
  metadata: { name: 'loans' },
});

function history(): readonly NewEntry[] {
  const roster = rosterOf(ROOT, SITES);
  const next = rosterOf(NEXT_ROOT, SITES, { version: 2 });
  const rotation = signRotation(rotationOf(ROOT, NEXT_ROOT), keyOf('ann'));
  const round = { jobId: JOB, round: 1, attempt: 1 };
  const coordinator = { actor: 'coordinator' } as const;
  const cohort = SITES.map((site) => ({ site, agentId: memberOf(site).agentId }));
  return [
    {
      ...{ type: 'federation.created', ...coordinator, subject: 'federation' },
      body: {
        ...{ federationId: scriptedId('fed', 'test'), name: 'hearts', caDigest: digest('ca') },
        logKey: encodeBase64(LOG.publicKey),
        modelKey: encodeBase64(MODEL.publicKey),
      },
    },
    ...SITES.map((site) => enrolled(site)),
    published(roster, signedBy(roster, 'ann')),
    submitted(),
    decided('east', 'job.approved'),
    decided('west', 'job.rejected'),
    {
      ...{ type: 'job.started', ...coordinator, subject: `job/${JOB}` },
      body: { jobId: JOB, layoutDigest: digest('layout'), modelDigest: digest('base'), parameters: 12 },
    },
    {
      ...{ type: 'round.opened', ...coordinator, subject: `job/${JOB}` },
      body: {
        ...{ ...round, mode: 'plain', stages: [{ name: 'update', deadlineMs: 1_000, minimum: 2 }], cohort },
        ...{ baseDigest: digest('base'), layoutDigest: digest('layout'), vectorLength: 14 },
        roundKey: publicKeyOf('round'),
      },
    },
    ...SITES.slice(0, 2).map((site): NewEntry => ({
      ...{ type: 'update.accepted', actor: `agent/${memberOf(site).agentId}`, subject: `job/${JOB}` },
      body: {
        ...{
          ...round,
          site,
          agentId: memberOf(site).agentId,
          uploadId: scriptedId('upl', site),
          bytes: '100',
        },
        ...{ headerDigest: digest(`header ${site}`), sealDigest: digest(`seal ${site}`) },
      },
    })),
    {
      ...{ type: 'round.committed', ...coordinator, subject: `job/${JOB}` },
      body: {
        ...{
          ...round,
          modelDigest: digest('weights'),
          folded: SITES.slice(0, 2).map((s) => scriptedId('upl', s)),
        },
        ...{ reporting: SITES.slice(0, 2), dropped: ['west'], metrics: { loss: '0.25' } },
      },
    },
    {
      type: 'job.completed',
      ...coordinator,
      subject: `job/${JOB}`,
      body: { jobId: JOB, model: 'loans', version: 1 },
    },
    {
      ...{ type: 'model.registered', ...coordinator, subject: 'model/loans' },
      body: {
        ...{ model: 'loans', version: 1, jobId: JOB, weightsDigest: digest('weights') },
        manifestDigest: digest('manifest'),
        signature: encodeBase64(signManifest(digest('manifest'), MODEL)),
      },
    },
    rolledOut(),
    {
      ...{ type: 'root.rotated', actor: 'context/root', subject: 'federation' },
      body: {
        ...{ previous: rootDigest(ROOT), root: rootDigest(NEXT_ROOT) },
        document: new TextDecoder().decode(encodeRotation(rotation)),
      },
    },
    published(next, signedBy(next, 'ben')),
    {
      ...{ type: 'alarm.raised', ...coordinator, subject: 'agent/agt-1' },
      body: { code: 'PROOF_INVALID', detail: 'straße \u{1F30A} "quoted" \u0007' },
    },
  ];
}

function enrolled(site: string): NewEntry {
  const { agentId, identityKey } = memberOf(site);
  const body = { agentId, site, tokenId: scriptedId('tok', site), identityKey, keyDigest: digest(site) };
  return { type: 'agent.enrolled', actor: `agent/${agentId}`, subject: `site/${site}`, body };
}

export function published(roster: ReturnType<typeof rosterOf>, bytes: Uint8Array): NewEntry {
  const body = publishedBody(roster, bytes);
  return { type: 'roster.published', actor: 'context/root', subject: 'federation', body };
}

export function submitted(): NewEntry {
  const signature = encodeBase64(signDocument(JOB_DOCUMENT, AUTHOR));
  const authorKey = encodeBase64(AUTHOR.publicKey);
  const body = { jobId: JOB, name: 'loans', document: canonicalText(JOB_DOCUMENT), authorKey, signature };
  return { type: 'job.submitted', actor: 'context/root', subject: `job/${JOB}`, body };
}

/** A decision that the agent of a site made with its own key. */
export function decided(site: string, type: 'job.approved' | 'job.rejected'): NewEntry {
  const { agentId, identityKey } = memberOf(site);
  const jobDigest = digestOf(new TextEncoder().encode(canonicalText(JOB_DOCUMENT)));
  const decidedAt = '2026-01-02T00:00:30.000Z';
  const said = {
    ...{ logId: logIdOf(LOG.publicKey), jobId: JOB, jobDigest, site, agentId, approver: identityKey },
    ...{ decision: type === 'job.approved' ? ('Approved' as const) : ('Rejected' as const), time: decidedAt },
  };
  const signature = encodeBase64(keyOf(`agent of ${site}`).sign(transcript('approval', said)));
  const body = {
    ...{ jobId: JOB, site, agentId, jobDigest, approverName: site, approverKey: identityKey, decidedAt },
    ...{ signature, siteSignature: signature },
  };
  return { type, actor: `agent/${agentId}`, subject: `job/${JOB}`, body };
}

function rolledOut(): NewEntry {
  const document = parseDocument({
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'ModelRollout',
    metadata: { name: 'loans' },
    spec: { model: 'loans', steps: [{ version: 1 }] },
  });
  const body = {
    ...{ rolloutId: ROLLOUT, model: 'loans', version: 1, manifestDigest: digest('manifest') },
    document: canonicalText(document),
    authorKey: encodeBase64(AUTHOR.publicKey),
    signature: encodeBase64(signDocument(document, AUTHOR)),
  };
  return { type: 'rollout.applied', actor: 'context/root', subject: 'model/loans', body };
}
