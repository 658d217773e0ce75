import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';

import { chartFolder, type ChartName } from './charts.js';
import { listAt } from './field.js';

/** Of the package prometheus. */
export const PROMTOOL = '/usr/bin/promtool';
export const hasPromtool = existsSync(PROMTOOL);
/** For the titles of tests that are skipped. */
export const WHY_NO_PROMTOOL = hasPromtool ? '' : ' (needs promtool of the package prometheus)';

/** What the rules select by, as labels of the release "north". */
export const RELEASE = { namespace: 'tributary', service: 'north-metrics' };

export const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(',');

/** The file of rules, as the chart renders it for RELEASE. */
export const rulesText = (chart: ChartName): string =>
  readFileSync(join(chartFolder(chart), 'files/rules.yaml'), 'utf8').replaceAll(
    'SELECTOR',
    labelText(RELEASE),
  );

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export const rulesOf = (chart: ChartName): readonly Rule[] =>
  listAt(parse(rulesText(chart)), 'groups').flatMap((group) => listAt(group, 'rules') as readonly Rule[]);
