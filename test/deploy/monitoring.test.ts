import assert from 'node:assert/strict';

import {
  CHARTS,
  manifestOf,
  render,
  type ChartName,
  type Manifest,
  type Values,
} from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';

const generation = 'helm 4';
const missing = toolsOf(generation) === undefined;
const APIS = ['monitoring.coreos.com/v1'];

const RUNBOOKS = 'https://wiki.example.org/runbooks';

const rendered = (
  chart: ChartName,
  apis: readonly string[],
  metrics: Values = {},
): Promise<readonly Manifest[]> => {
  const values = chart === 'tributary-coordinator' ? { federation: { host: 'hub' } } : {};
  return render(chart, { generation, values: { ...values, metrics }, apis });
};

describe(`monitoring objects of the charts${missing ? WHY_SKIPPED : ''}`, function () {
  before(function () {
    if (missing) this.skip();
  });

  for (const chart of CHARTS)
    it(`${chart}: alert rules are of this release, and only where the cluster knows the kind`, async () => {
      const objects = await rendered(chart, APIS, { prometheusRule: { runbookUrl: RUNBOOKS } });
      const rule = manifestOf(objects, 'PrometheusRule');
      const rules = listAt(rule, 'spec', 'groups').flatMap((group) => listAt(group, 'rules'));
      assert.ok(rules.length >= 8);
      for (const one of rules) {
        const expression = String(field(one, 'expr'));
        assert.ok(expression.includes(`{namespace="tributary",service="${rule.metadata.name}-metrics"`));
        assert.doesNotMatch(JSON.stringify(one), /SELECTOR|RUNBOOK/);
        const url = `${RUNBOOKS}#${String(field(one, 'alert')).toLowerCase()}`;
        assert.equal(field(one, 'annotations', 'runbook_url'), url);
      }
      const without = await rendered(chart, []);
      assert.ok(!without.some(({ kind }) => kind === 'PrometheusRule' || kind === 'ServiceMonitor'));
    });

  for (const chart of CHARTS)
    it(`${chart}: alerts name no runbook without an address, and there are none without scrapes`, async () => {
      const rule = manifestOf(await rendered(chart, APIS), 'PrometheusRule');
      const rules = listAt(rule, 'spec', 'groups').flatMap((group) => listAt(group, 'rules'));
      assert.ok(rules.length >= 8);
      for (const one of rules)
        assert.deepEqual(Object.keys(field(one, 'annotations') as object), ['summary', 'description']);
      const unscraped = await rendered(chart, APIS, { serviceMonitor: { enabled: false } });
      assert.ok(!unscraped.some(({ kind }) => kind === 'PrometheusRule' || kind === 'ServiceMonitor'));
    });

  it('the dashboard is a ConfigMap that the sidecar of Grafana takes', async () => {
    const objects = await rendered('tributary-coordinator', []);
    const found = objects.find(({ metadata }) => metadata.labels?.['grafana_dashboard'] === '1');
    assert.equal(found?.kind, 'ConfigMap');
    const dashboard: unknown = JSON.parse(String(field(found, 'data', 'tributary-federation.json')));
    assert.ok(listAt(dashboard, 'panels').length > 20);
  });
});
