import {
  compileFeatures,
  compileLabel,
  layoutOf,
  LIMITS,
  TributaryError,
  type CellFault,
  type FederatedJobSpec,
  type Row,
} from '@tributary/proto';

import { openDataset, type OpenDataset } from '../adapters/datasets/open-dataset.js';
import { jobColumns } from '../domain/datasets/job-columns.js';
import { ColumnSummary, type ContentKind } from '../domain/datasets/column-summary.js';
import { tellable, tellableParts, type TellableCount } from '../domain/datasets/suppression.js';
import { joinFits, neutralFit } from '../domain/feature-fit.js';
import type { RosterView } from '../domain/membership.js';
import { evaluatePolicy, type PolicyVerdict } from '../domain/policy.js';
import { countText } from './dataset-describe.js';
import type { PolicedDataset, SitePolicing } from './dataset-handles.js';

/** What a look at a dataset came to. */
export interface DatasetCheck {
  readonly name: string;
  /** True where nothing stands in the way of the job, or, without one, of every job. */
  readonly ok: boolean;
  readonly rows: TellableCount | null;
  readonly minCount: number;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly kind: ContentKind;
    readonly missing: TellableCount;
  }[];
  /** Rows of each class of the label; with a job. */
  readonly classes?: readonly { readonly value: string; readonly rows: TellableCount }[];
  /** Rows that share their quasi-identifiers with fewer than k. */
  readonly standingOut?: TellableCount;
  /** What the policy would say; of the job where there is one. */
  readonly policy: string;
  /** What would stop a training, by our codes and words. */
  readonly problems: readonly string[];
  /** What would not stop it, and is often a value that the job writes otherwise than the rows; with a job. */
  readonly notes?: readonly string[];
}

/** Checks a dataset, for a job where one is given. Never rejects because of the data. */
export async function checkDataset(
  dataset: PolicedDataset,
  policing: SitePolicing,
  spec: FederatedJobSpec | undefined,
): Promise<DatasetCheck> {
  const { handle } = dataset;
  const problems: string[] = [];
  const verdict = spec === undefined ? undefined : judge(policing, spec);
  if (verdict?.allowed === false) problems.push(`${verdict.code}: ${verdict.detail}`);
  const base = {
    name: handle.name,
    minCount: handle.minCount,
    policy: policyText(dataset, policing, verdict),
  };
  let looked: Looked = { rows: null, columns: [] };
  try {
    looked = await look(dataset, spec, problems);
  } catch (error) {
    problems.push(problemText(error));
  }
  return { ...base, ...looked, problems, ok: problems.length === 0 && dataset.listed };
}

type Looked = Pick<DatasetCheck, 'rows' | 'columns' | 'classes' | 'notes' | 'standingOut'>;

async function look(
  { handle }: PolicedDataset,
  spec: FederatedJobSpec | undefined,
  problems: string[],
): Promise<Looked> {
  const { minCount, minimumRows } = handle;
  // Suppressing rows is the policy's way of coping; a refusal is told as a problem, after the look.
  const { kAnonymity, ...rest } = handle.deidentification;
  const open = await openDataset({ ...handle, deidentification: rest }, undefined);
  try {
    const summaries = open.carried.map((name) => ({ name, summary: new ColumnSummary(minCount) }));
    const job = spec === undefined ? undefined : new JobLook(spec, open, minCount, handle);
    let rows = 0;
    for await (const { row, index } of open.rows()) {
      rows += 1;
      for (const { name, summary } of summaries) summary.add(row[name]);
      job?.add(row, index);
    }
    if (rows < minimumRows)
      problems.push(`DATASET_TOO_SMALL: the policy demands ${String(minimumRows)} rows (minimumRows)`);
    problems.push(...((await job?.problems()) ?? []));
    const standingOut = kAnonymity === undefined ? {} : await standing(handle, kAnonymity, problems);
    return {
      rows: tellable(rows, minCount),
      columns: summaries.map(({ name, summary }) => {
        const { kind, missing } = summary.describe();
        return { name, type: open.columns.find((column) => column.name === name)?.type ?? '', kind, missing };
      }),
      ...(job === undefined ? {} : { classes: job.classes(), notes: job.notes() }),
      ...standingOut,
    };
  } finally {
    await open.close();
  }
}

type Anonymity = NonNullable<PolicedDataset['handle']['deidentification']['kAnonymity']>;

async function standing(
  handle: PolicedDataset['handle'],
  { action, quasiIdentifiers }: Anonymity,
  problems: string[],
): Promise<Pick<DatasetCheck, 'standingOut'>> {
  const open = await openDataset(handle, undefined);
  try {
    const rare = await open.rareRows();
    if (action === 'Refuse' && rare > 0)
      problems.push(`POLICY_REFUSED: rows stand out by ${quasiIdentifiers.join(', ')} (kAnonymity)`);
    return { standingOut: tellable(rare, handle.minCount) };
  } finally {
    await open.close();
  }
}

/** The rows through the eyes of a job: its classes, and the cells that it could not use. */
class JobLook {
  readonly #spec: FederatedJobSpec;
  readonly #open: OpenDataset;
  readonly #minCount: number;
  readonly #problems: string[] = [];
  readonly #classes = new Map<string, number>();
  /** Rows of values beyond the first LIMITS.labelValues. */
  #otherClasses = 0;
  readonly #faults = new Map<
    string,
    { readonly index: number; readonly fault: CellFault; readonly column: string }
  >();
  /** Categories of the job, by column, that no row has had so far. */
  readonly #unseen: ReadonlyMap<string, Set<string>>;
  readonly #label: ReturnType<typeof compileLabel>;
  readonly #encode: ((row: Row) => ReturnType<ReturnType<typeof compileFeatures>['encode']>) | undefined;

  constructor(
    spec: FederatedJobSpec,
    open: OpenDataset,
    minCount: number,
    { vocabularies }: Pick<PolicedDataset['handle'], 'vocabularies'>,
  ) {
    this.#spec = spec;
    this.#open = open;
    this.#minCount = minCount;
    this.#label = compileLabel(spec.task);
    for (const value of namedClasses(spec.task)) this.#classes.set(value, 0);
    this.#unseen = new Map(
      spec.features.flatMap((feature) =>
        feature.type === 'Categorical' &&
        feature.categories !== undefined &&
        open.carried.includes(feature.name)
          ? [[feature.name, new Set(feature.categories)]]
          : [],
      ),
    );
    const plan = this.#plan(vocabularies);
    for (const column of jobColumns(spec))
      if (!open.carried.includes(column))
        this.#problems.push(
          `DATASET_INVALID: the dataset has no column ${JSON.stringify(column)} that jobs may read`,
        );
    const out = new Float32Array(plan?.width ?? 0);
    if (plan?.unfitted.length === 0 && this.#problems.length === 0)
      this.#encode = (row) => plan.encode(row, out, 0);
  }

  add(row: Row, index: number): void {
    const { label } = this.#spec.dataset;
    const target = this.#label.read(row[label]);
    if (typeof target === 'string') this.#fault(label, target, index);
    else if (this.#spec.task.type !== 'Regression') {
      const value = String(row[label]).trim();
      const rows = this.#classes.get(value);
      if (rows !== undefined || this.#classes.size < LIMITS.labelValues)
        this.#classes.set(value, (rows ?? 0) + 1);
      else this.#otherClasses += 1;
    }
    for (const [column, unseen] of this.#unseen) unseen.delete(String(row[column]).trim());
    for (const { column, reason } of this.#encode?.(row) ?? []) this.#fault(column, reason, index);
  }

  /** Values of the job that no row has. */
  notes(): readonly string[] {
    const { task, dataset } = this.#spec;
    const label = JSON.stringify(dataset.label);
    const classes = namedClasses(task)
      .filter((value) => this.#classes.get(value) === 0)
      .map((value) =>
        task.type === 'Binary'
          ? `no row has the positive value ${JSON.stringify(value)} in ${label}: all of them count as negative`
          : `no row has the class ${JSON.stringify(value)} in ${label}`,
      );
    const categories = [...this.#unseen].flatMap(([column, unseen]) =>
      [...unseen].map(
        (value) => `no row has the category ${JSON.stringify(value)} in ${JSON.stringify(column)}`,
      ),
    );
    return [...classes, ...categories].slice(0, LIMITS.checkNotes);
  }

  classes(): NonNullable<DatasetCheck['classes']> {
    const named = new Set(namedClasses(this.#spec.task));
    const sorted = [...this.#classes].sort(([, m], [, n]) => n - m);
    const counts = sorted.map(([, rows]) => rows);
    const told = tellableParts([...counts, this.#otherClasses], this.#minCount);
    return sorted.flatMap(([value], place) => {
      const rows = told[place] ?? 0;
      // A label that few rows share may be a name in the wrong column; the classes of the job are known anyway.
      return rows === 'Suppressed' && !named.has(value) ? [] : [{ value, rows }];
    });
  }

  async problems(): Promise<readonly string[]> {
    const problems = [...this.#problems];
    for (const { index, column, fault } of this.#faults.values())
      problems.push(problemText(await this.#open.faultAt(index, column, fault)));
    return problems;
  }

  #plan(vocabularies: PolicedDataset['handle']['vocabularies']) {
    try {
      return compileFeatures(
        this.#spec.features,
        joinFits(this.#spec, { vocabularies, site: neutralFit(this.#spec) }),
      );
    } catch (error) {
      this.#problems.push(problemText(error));
      return undefined;
    }
  }

  /** The first of each kind in each column. */
  #fault(column: string, fault: CellFault, index: number): void {
    const key = JSON.stringify([column, fault]);
    if (!this.#faults.has(key)) this.#faults.set(key, { column, fault, index });
  }
}

/** Label values that the job itself names. */
function namedClasses(task: FederatedJobSpec['task']): readonly string[] {
  if (task.type === 'MultiClass') return task.classes;
  return task.type === 'Binary' ? [task.positive] : [];
}

/** A roster that names whoever is asked for. */
const ANY_ROSTER: RosterView = { member: () => undefined, isAuthor: () => true };

/** The policy's word on a job, taking for granted what only an order shows: coordinator, author, cohort, roster. */
function judge({ policy, datasets }: SitePolicing, spec: FederatedJobSpec): PolicyVerdict {
  const { shape } = compileFeatures(spec.features);
  const coordinators = policy?.coordinators;
  return evaluatePolicy(policy, spec, {
    logId: coordinators?.type === 'Listed' ? (coordinators.logIds[0] ?? '') : '',
    authorKey: policy?.authors[0]?.key ?? '',
    parameters: layoutOf(spec.model.layers, shape).length,
    site: '',
    cohort: Math.max(spec.minSites, policy?.minimumCohort ?? 0) + 1,
    datasets: datasets.map(({ handle }) => handle.name),
    trainer: 'Tfjs',
    sentOnBase: 0,
    roster: ANY_ROSTER,
    decision: 'Approved',
    startsAt: undefined,
  });
}

function policyText(
  { listed, handle }: PolicedDataset,
  { policy }: SitePolicing,
  verdict: PolicyVerdict | undefined,
): string {
  if (policy === undefined) return 'none: every job is refused';
  if (!listed) return 'does not list the dataset: every job is refused';
  if (verdict?.allowed === false) return `refuses the job: ${verdict.detail}`;
  const terms = `at least ${String(handle.minimumRows)} rows`;
  return verdict === undefined
    ? `lists the dataset, ${terms}`
    : `allows the job to trusted authors, ${terms}`;
}

function problemText(error: unknown): string {
  const { code, message } = TributaryError.from(error);
  return code === 'INTERNAL' ? 'INTERNAL: an unexpected error' : `${code}: ${message}`;
}

/** The check for people. */
export function checkText({ name, ok, rows, minCount, columns, ...rest }: DatasetCheck): string {
  const lines = [
    `Dataset ${name}: ${ok ? 'ok' : 'not usable'}`,
    `  rows:    ${rows === null ? 'not read' : countText(rows, minCount)}`,
    `  policy:  ${rest.policy}`,
    ...(rest.standingOut === undefined
      ? []
      : [`  k-anonymity: rows that stand out: ${countText(rest.standingOut, minCount)}`]),
    ...(rest.classes ?? []).map(
      ({ value, rows: count }) => `  class ${JSON.stringify(value)}: ${countText(count, minCount)}`,
    ),
    ...columns.map(
      (column) =>
        `  column ${column.name}: ${column.type}, ${column.kind}, missing ${countText(column.missing, minCount)}`,
    ),
    ...(rest.notes ?? []).map((note) => `  note: ${note}`),
    ...rest.problems.map((problem) => `  problem: ${problem}`),
  ];
  return `${lines.join('\n')}\n`;
}
