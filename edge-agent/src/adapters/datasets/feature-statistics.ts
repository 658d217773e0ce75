import { FeatureStatistics, type SiteStatistics } from '@tributary/proto';

import { requireRows, type LoadRequest } from './encoded-dataset.js';
import { openDataset } from './open-dataset.js';

/** Rows between two calls of `poll`. */
const POLL_ROWS = 1_024;

/**
 * What the features of a job learn from the training rows of a site, in one pass; memory does not grow with the rows.
 * Throws as loadDataset does, and whatever `poll`, called now and then, throws.
 */
export async function collectStatistics(
  { dataset, spec }: Pick<LoadRequest, 'dataset' | 'spec'>,
  poll: () => void,
): Promise<SiteStatistics> {
  const open = await openDataset(dataset, spec, poll);
  const statistics = new FeatureStatistics(spec.features);
  try {
    let rows = 0;
    for await (const { row, test, index } of open.rows()) {
      if (rows % POLL_ROWS === 0) poll();
      rows += 1;
      const issue = test ? undefined : statistics.add(row);
      if (issue !== undefined) throw await open.faultAt(index, issue.column, issue.reason);
    }
    const found = statistics.finish(dataset.minCount);
    requireRows(rows, dataset.minimumRows, { rows: found.examples });
    return found;
  } finally {
    await open.close();
  }
}
