import { readFile } from 'node:fs/promises';

import {
  canonicalize,
  decodeBase64,
  describePlan,
  fewestSites,
  parseDocument,
  requirePlan,
  signDocument,
  signingKeyFromSeed,
  TributaryError,
  type FederatedJob,
  type ModelRollout,
} from '@tributary/proto';
import { parseAllDocuments, type Document } from 'yaml';

import type { Author, ContextFile } from '../context-file.js';
import { withModelFile } from '../model-file.js';
import { readObject, text } from '../objects.js';
import type { Session } from '../session.js';

export interface ApplyOptions {
  readonly filename: readonly string[];
  readonly author?: string;
  readonly dryRun: boolean;
}

const OUTCOMES = { CREATED: 'created', CONFIGURED: 'configured', UNCHANGED: 'unchanged' } as const;

/** Checks every document of the files, then signs and submits them. */
export async function apply(session: Session, options: ApplyOptions): Promise<void> {
  const documents = await readApplied(options.filename);
  await submit(
    session,
    documents.map(({ document }) => document),
    options,
  );
}

/** A job, and the file that it comes from. */
export interface SourceJob {
  readonly source: string;
  readonly job: FederatedJob;
}

/** What authors sign and coordinators record. */
export type SignedDocument = FederatedJob | ModelRollout;

interface SourceApplied {
  readonly source: string;
  readonly document: SignedDocument;
}

/** The jobs of files, checked. Rejects with USAGE, DOCUMENT_INVALID or DOCUMENT_UNSUPPORTED, naming the file. */
export async function readJobs(filenames: readonly string[]): Promise<readonly SourceJob[]> {
  const documents = await readApplied(filenames);
  return documents.map(({ source, document }) => {
    if (document.kind === 'FederatedJob') return { source, job: document };
    throw new TributaryError('DOCUMENT_INVALID', `${source}: a ${document.kind} is no job`);
  });
}

async function readApplied(filenames: readonly string[]): Promise<readonly SourceApplied[]> {
  const documents = (await Promise.all(filenames.map(readDocuments))).flat();
  if (documents.length === 0) throw new TributaryError('DOCUMENT_INVALID', 'the files hold no document');
  const applied: SourceApplied[] = [];
  for (const { value, path, source } of documents) {
    const document = await withSource(source, async () => parseDocument(await withModelFile(value, path)));
    if (document.kind !== 'FederatedJob' && document.kind !== 'ModelRollout') {
      throw new TributaryError(
        'DOCUMENT_UNSUPPORTED',
        `${source}: a ${document.kind} is not applied to the coordinator`,
        {
          hint: `A ${document.kind} stays at its site: name the file in agent.yaml.`,
        },
      );
    }
    applied.push({ source, document });
  }
  return applied;
}

/** Signs and submits documents. The first one that is refused stops the rest. */
export async function submit(
  session: Session,
  documents: readonly SignedDocument[],
  options: Pick<ApplyOptions, 'author' | 'dryRun'>,
): Promise<void> {
  const author = requireAuthor(await session.contextFile(), options.author);
  const key = signingKeyFromSeed(decodeBase64(author.seed, 'seed'));
  const admin = await session.admin();
  for (const document of documents) {
    if (document.kind === 'FederatedJob') notePlan(session, document);
    const response = await admin.unary('Apply', {
      document: Buffer.from(canonicalize(document)),
      authorKey: Buffer.from(key.publicKey),
      signature: Buffer.from(signDocument(document, key)),
      dryRun: options.dryRun,
    });
    const outcome = OUTCOMES[response.outcome];
    session.terminal.out(
      `${document.kind.toLowerCase()}/${document.metadata.name} ${outcome}${options.dryRun ? ' (dry run)' : ''}`,
    );
    const phase =
      document.kind === 'FederatedJob' && response.outcome === 'UNCHANGED' && !options.dryRun
        ? phaseOf(response.object)
        : '';
    if (ENDED.has(phase)) {
      const { name } = document.metadata;
      session.terminal.note(
        `${name} has ended (${phase}) and does not run again: give the job another name, or tributary delete fj/${name} first`,
      );
    }
  }
}

/** What secure aggregation will bear, before anything starts: with the fewest sites where the job takes all. */
function notePlan({ terminal }: Session, { metadata, spec }: FederatedJob): void {
  const { privacy, cohortSize, minSites } = spec;
  const { secureAggregation, ...demand } = privacy;
  if (!secureAggregation) return;
  const agents = cohortSize === 0 ? fewestSites(spec) : cohortSize;
  const plan = requirePlan({ ...demand, agents, minimum: minSites });
  const more = cohortSize === 0 ? ' (with the fewest sites; more of them bear more)' : '';
  terminal.note(`${metadata.name}: secure aggregation, ${describePlan(plan)}${more}`);
}

const ENDED: ReadonlySet<string> = new Set(['Complete', 'Failed', 'Cancelled']);

const phaseOf = (object: Parameters<typeof readObject>[0]): string =>
  object === null ? '' : text(readObject(object).document, ['status', 'phase'], '');

interface SourceDocument {
  /** File, and number of the document in it where it holds several. */
  readonly source: string;
  readonly path: string;
  readonly value: unknown;
}

async function readDocuments(path: string): Promise<SourceDocument[]> {
  let text: string;
  try {
    text = path === '-' ? await readStandardInput() : await readFile(path, 'utf8');
  } catch (cause) {
    throw new TributaryError('USAGE', `${path}: cannot be read (${faultOf(cause)})`, {
      cause,
      hint: 'Name a YAML or JSON file that exists, or - for standard input.',
    });
  }
  const parsed = parseAllDocuments(text, { logLevel: 'error' }).filter(
    (document) => document.contents !== null,
  );
  return parsed.map((document, index) => {
    const source = parsed.length === 1 ? path : `${path}, document ${String(index + 1)}`;
    const [problem] = document.errors;
    if (problem !== undefined) throw new TributaryError('DOCUMENT_INVALID', `${source}: ${problem.message}`);
    return { source, path, value: plainValue(document, source) };
  });
}

const faultOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown fault';

function plainValue(document: Document.Parsed, source: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw new TributaryError('DOCUMENT_INVALID', `${source}: anchors and aliases are not read`, {
      cause,
      hint: 'Write the value out at each place.',
    });
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

async function withSource<T>(source: string, parse: () => Promise<T>): Promise<T> {
  try {
    return await parse();
  } catch (error) {
    const cause = TributaryError.from(error);
    throw new TributaryError(cause.code, `${source}: ${cause.message}`, {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    });
  }
}

function requireAuthor(file: ContextFile, name: string | undefined): Author {
  const found = name === undefined ? file.authors[0] : file.authors.find((author) => author.name === name);
  if (found === undefined) {
    throw new TributaryError(
      'CONFIG_INVALID',
      name === undefined ? 'no author key: documents are signed' : `no author named ${name}`,
      {
        hint: 'Make one with `tributary author create NAME` and have the sites name its public key in their policies.',
      },
    );
  }
  if (name === undefined && file.authors.length > 1) {
    throw new TributaryError('USAGE', 'several authors are known: choose one with --author', {
      hint: `Authors: ${file.authors.map((author) => author.name).join(', ')}`,
    });
  }
  return found;
}
