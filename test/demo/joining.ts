import { join } from 'node:path';

import { rowsOf } from '../support/dataset-rows.js';
import type { LocalFederation } from '../support/federation.js';
import type { SiteData } from './baseline.js';
import type { DemoPlan, PlannedSite } from './demo-plan.js';
import { datasetAt } from './experiment.js';
import type { SiteBrokers } from './replay/site-brokers.js';

export interface Joining {
  readonly federation: LocalFederation;
  readonly brokers: SiteBrokers;
  readonly plan: DemoPlan;
  readonly say: (line: string) => void;
}

/** Joins the sites of a plan, each with its own table, broker and pipelines, and waits until all are connected. */
export async function joinSites({ federation, brokers, plan, say }: Joining): Promise<SiteData[]> {
  const { dataset, sites } = plan;
  const joined: SiteData[] = [];
  for (const site of sites) {
    const { name, csv, view, labels } = site;
    await federation.addSite({ name, csv, dataset, labels, ...settingsOf(site, plan, brokers) });
    const handle = datasetAt(name, join(federation.siteFolder(name), `${dataset}.csv`), view);
    const rows = (await rowsOf(handle)).length;
    say(`${name}: joined with ${String(rows)} ${plan.rows}`);
    joined.push({ site: name, handle, rows });
  }
  // A round needs minSites only: a site that connects later would miss the first ones, and the figures would vary.
  for (const { name } of sites) await federation.cliText('wait', `site/${name}`, '--for', 'condition=Ready');
  return joined;
}

function settingsOf({ name, view }: PlannedSite, plan: DemoPlan, brokers: SiteBrokers) {
  const { dataset, jobs, records, stream } = plan;
  const pipelines = [records, ...(stream?.site === name ? stream.pipelines : [])];
  const declared = { name: dataset, path: `./${dataset}.csv`, format: 'Csv', ...(view && { view }) };
  return {
    files: Object.fromEntries(pipelines.map(({ file, text }) => [file, text])),
    policy: { serving: { models: jobs.slice(0, 1).map(({ spec }) => spec.model.name) } },
    config: {
      datasets: [declared],
      brokers: brokers.brokersOf(name),
      pipelines: pipelines.map(({ file }) => `./${file}`),
    },
  };
}
