/** A metric as a page of the Prometheus text format shows it. */
export interface ShownMetric {
  readonly name: string;
  readonly type: string;
  /** Names of labels, sorted, without those that its type brings (`le`, `quantile`). */
  readonly labels: readonly string[];
}

/** Metrics of a page whose names begin with `prefix`. */
export function metricsOfPage(page: string, prefix: string): readonly ShownMetric[] {
  return [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    .filter(([, name = '']) => name.startsWith(prefix))
    .map(([, name = '', type = '']) => ({ name, type, labels: labelsOf(page, name) }));
}

function labelsOf(page: string, name: string): readonly string[] {
  const samples = new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{([^}]*)\\}`, 'gm');
  const found = [...page.matchAll(samples)].flatMap(([, text = '']) =>
    [...text.matchAll(/([a-z_]+)="/g)].map(([, label = '']) => label),
  );
  return [...new Set(found)].filter((label) => label !== 'le' && label !== 'quantile').sort();
}

/** The rows of the table under `## Metrics` of a README: `| name | type | labels | ... |`. */
export function metricsOfReadme(readme: string): readonly ShownMetric[] {
  const [, section = ''] = /^## Metrics\n([^]*?)(?=^## |(?![^]))/m.exec(readme) ?? [];
  return [...section.matchAll(/^\| `([a-z_]+)`\s*\| (\w+)\s*\| ([^|]*)\|/gm)].map(
    ([, name = '', type = '', labels = '']) => ({
      name,
      type,
      labels: [...labels.matchAll(/`([a-z_]+)`/g)].map(([, label = '']) => label).sort(),
    }),
  );
}
