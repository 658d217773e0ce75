import { encodeHex, LIMITS, sha256, TributaryError, type FederatedJob } from '@tributary/proto';
import { stringify } from 'yaml';

import { conditionStatus, field, readObject, text, type ShownObject } from '../objects.js';
import { evaluationOf, shortFigure, type ShownFigure, type ShownGroup } from '../output/evaluation.js';
import { formatValue, type OutputFormat } from '../output/formats.js';
import { tableLines, type Column } from '../output/table.js';
import type { Session } from '../session.js';
import { readJobs, submit, type ApplyOptions } from './apply.js';

export interface LeaveOneOutOptions extends ApplyOptions {
  /** Sites to hold out, each in a job of its own; every approved site that the job selects where empty. */
  readonly site: readonly string[];
  /** Prints the documents instead of submitting them. */
  readonly print: boolean;
}

/**
 * One job a site, each keeping that site out of training and measuring the model there: how well the model does at a
 * place that it has never seen.
 */
export async function leaveOneOut(session: Session, options: LeaveOneOutOptions): Promise<void> {
  const [source, another] = await readJobs(options.filename);
  if (source === undefined || another !== undefined)
    throw new TributaryError('USAGE', '--filename: leave-one-out takes one job');
  const { job } = source;
  if (job.spec.evaluation.metrics.length === 0) {
    throw new TributaryError(
      'DOCUMENT_INVALID',
      `${source.source}: spec.evaluation.metrics: no metric is listed`,
      {
        hint: 'List what the sites that are held out shall report, for example auc.',
      },
    );
  }
  const sites = options.site.length > 0 ? options.site : await selectedSites(session, job);
  if (sites.length < 2) {
    throw new TributaryError(
      'CONFLICT',
      `leave-one-out needs two sites or more, there are ${String(sites.length)}`,
      {
        hint: 'Approve more sites, or name them with --site.',
      },
    );
  }
  const jobs = sites.map((site) => ({ source: source.source, job: withoutSite(job, site, sites.length) }));
  if (options.print) {
    for (const variant of jobs) session.terminal.out(`---\n${stringify(variant.job).trimEnd()}`);
    return;
  }
  await submit(
    session,
    jobs.map(({ job }) => job),
    options,
  );
  session.terminal.note(`When they are complete: tributary job held-out ${job.metadata.name}`);
}

/** Approved sites with the labels that the job selects by. */
async function selectedSites(session: Session, job: FederatedJob): Promise<readonly string[]> {
  const admin = await session.admin();
  const { objects } = await admin.unary('ListObjects', { kind: 'Site' });
  const wanted = Object.entries(job.spec.siteSelector.matchLabels);
  return objects
    .map(readObject)
    .filter(({ document }) => conditionStatus(document, 'Approved') === 'True')
    .filter(({ document }) =>
      wanted.every(([key, value]) => field(document, 'metadata', 'labels', key) === value),
    )
    .map(({ name }) => name)
    .sort();
}

/**
 * The job that keeps `site` out. Where it can, a round waits for one site more than before, so that as many train as the
 * author wanted.
 */
function withoutSite(job: FederatedJob, site: string, sites: number): FederatedJob {
  const { spec, metadata } = job;
  const { evaluation } = spec;
  return {
    ...job,
    metadata: { ...metadata, name: variantName(metadata.name, site) },
    spec: {
      ...spec,
      model: { ...spec.model, name: variantName(spec.model.name, site) },
      minSites: Math.max(2, Math.min(spec.minSites + 1, sites)),
      evaluation: { ...evaluation, intervals: evaluation.intervals ?? true, holdOutSite: site },
    },
  };
}

/** A name of its own for each pair; where it would be too long, the end gives way to a digest. */
export function variantName(name: string, site: string): string {
  const whole = `${name}-without-${site}`;
  if (whole.length <= LIMITS.nameLength) return whole;
  const digest = encodeHex(sha256(new TextEncoder().encode(whole))).slice(0, 10);
  return `${whole.slice(0, LIMITS.nameLength - digest.length - 1).replace(/[.-]+$/, '')}-${digest}`;
}

interface HeldOutResult {
  readonly site: string;
  readonly job: string;
  readonly phase: string;
  /** Of the site that was held out. */
  readonly heldOut: readonly ShownFigure[];
  /** Of the sites that trained. */
  readonly trained: readonly ShownFigure[];
}

/** What each site that was held out reports of the model that the others made. */
export async function showHeldOut(session: Session, name: string, output: OutputFormat): Promise<void> {
  const job = name.replace(/^fj\//, '');
  const admin = await session.admin();
  const { objects } = await admin.unary('ListObjects', { kind: 'FederatedJob' });
  const results = objects
    .map(readObject)
    .flatMap((object) => resultOf(object, job))
    .sort((left, right) => (left.site < right.site ? -1 : 1));
  if (results.length === 0) {
    throw new TributaryError('NOT_FOUND', `no job holds a site of ${job} out`, {
      hint: 'Submit them with `tributary job leave-one-out -f job.yaml`.',
    });
  }
  if (output !== 'table') {
    session.terminal.out(formatValue({ job, sites: results }, output));
    return;
  }
  for (const line of tableLines(COLUMNS, results.flatMap(rowsOf))) session.terminal.out(line);
}

function resultOf({ document, name }: ShownObject, job: string): readonly HeldOutResult[] {
  const site = text(document, ['spec', 'evaluation', 'holdOutSite'], '');
  if (site === '' || name !== variantName(job, site)) return [];
  const groups = evaluationOf(document);
  const of = (type: string): readonly ShownFigure[] =>
    groups.find((group: ShownGroup) => group.type === type)?.figures ?? [];
  return [
    {
      site,
      job: name,
      phase: text(document, ['status', 'phase']),
      heldOut: of('HeldOut'),
      trained: of('All'),
    },
  ];
}

interface ResultRow {
  readonly result: HeldOutResult;
  readonly heldOut?: ShownFigure;
  readonly trained?: ShownFigure;
}

function rowsOf(result: HeldOutResult): readonly ResultRow[] {
  if (result.heldOut.length === 0) return [{ result }];
  return result.heldOut.map((heldOut) => {
    const trained = result.trained.find(({ name }) => name === heldOut.name);
    return { result, heldOut, ...(trained && { trained }) };
  });
}

const COLUMNS: readonly Column<ResultRow>[] = [
  { title: 'HELD-OUT', cell: ({ result }) => result.site },
  { title: 'STATE', cell: ({ result }) => result.phase },
  { title: 'METRIC', cell: ({ heldOut }) => heldOut?.name ?? '-' },
  { title: 'AT THE SITE', cell: ({ heldOut }) => (heldOut === undefined ? '-' : shortFigure(heldOut)) },
  { title: 'WHERE IT TRAINED', cell: ({ trained }) => (trained === undefined ? '-' : shortFigure(trained)) },
  { title: 'JOB', cell: ({ result }) => result.job },
];
