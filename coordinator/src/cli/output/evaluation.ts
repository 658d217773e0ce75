import { INTERVAL_95, type JsonValue } from '@tributary/proto';

import { list, text } from '../objects.js';
import { tableLines, type Column } from './table.js';

/** A metric with its 95 % interval, where the job asked for intervals. */
export interface ShownFigure {
  readonly name: string;
  /** NaN where no site had rows. */
  readonly value: number;
  readonly standardError?: number;
  readonly low?: number;
  readonly high?: number;
}

/** Figures of one evaluation group of a job. */
export interface ShownGroup {
  /** As the table names it, e.g. "all", "sex = F". */
  readonly title: string;
  readonly type: string;
  readonly figures: readonly ShownFigure[];
}

/** The evaluation groups of a job as `get` serves it; empty where it asked for no more than means. */
export function evaluationOf(job: JsonValue): readonly ShownGroup[] {
  return list(job, 'status', 'evaluation').map((group) => ({
    title: titleOf(group),
    type: text(group, ['type']),
    figures: list(group, 'metrics').map(figureOf),
  }));
}

function titleOf(group: JsonValue): string {
  const site = text(group, ['site']);
  switch (text(group, ['type'])) {
    case 'All':
      return 'all';
    case 'HeldOut':
      return `held out: ${site}`;
    case 'Site':
      return `site: ${site}`;
    default:
      return `${text(group, ['column'])} = ${text(group, ['value'])}`;
  }
}

/** A figure of the status of a job. */
export function figureOf(figure: JsonValue): ShownFigure {
  const value = Number(text(figure, ['value']));
  const error = Number(text(figure, ['standardError']));
  const name = text(figure, ['name']);
  if (Number.isNaN(error)) return { name, value };
  return {
    name,
    value,
    standardError: error,
    low: value - INTERVAL_95 * error,
    high: value + INTERVAL_95 * error,
  };
}

/** Four digits behind the point; "-" where there is no number. */
export function digits(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '-' : value.toFixed(4);
}

/** The figure in few characters, e.g. "0.8123 [0.7886, 0.8360]". */
export function shortFigure({ value, low, high }: ShownFigure): string {
  return low === undefined ? digits(value) : `${digits(value)} [${digits(low)}, ${digits(high)}]`;
}

const COLUMNS: readonly Column<readonly [ShownGroup, ShownFigure]>[] = [
  { title: '  GROUP', cell: ([group]) => `  ${group.title}` },
  { title: 'METRIC', cell: ([, figure]) => figure.name },
  { title: 'MEAN', cell: ([, figure]) => digits(figure.value) },
  { title: 'ERROR', cell: ([, figure]) => digits(figure.standardError) },
  {
    title: '95% INTERVAL',
    cell: ([, { low, high }]) => (low === undefined ? '-' : `${digits(low)} to ${digits(high)}`),
  },
];

/** The evaluation as a table. */
export function evaluationLines(groups: readonly ShownGroup[]): readonly string[] {
  return tableLines(
    COLUMNS,
    groups.flatMap((group) => group.figures.map((figure) => [group, figure] as const)),
  );
}
