import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse, stringify } from 'yaml';

import { ALERT_CASES, type AlertCase, type Series } from '../support/kube/alert-cases.js';
import { CHARTS, execute } from '../support/kube/charts.js';
import {
  hasPromtool,
  labelText,
  PROMTOOL,
  RELEASE,
  rulesOf,
  rulesText,
  WHY_NO_PROMTOOL,
  type Rule,
} from '../support/kube/rules.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

/** Of another release in the same Prometheus: no alert of this one may see it. */
const OTHER = { namespace: 'tributary', service: 'south-metrics' };

const inputs = (series: Series, release: Readonly<Record<string, string>>): readonly object[] =>
  Object.entries(series).map(([text, values]) => {
    const [, name = '', labels] = /^([a-z0-9_]+)(?:\{(.*)\})?$/.exec(text) ?? [];
    const all = [labelText(release), labels].filter((part) => part !== undefined).join(',');
    return { series: `${name}{${all}}`, values };
  });

/** The alert as Prometheus sends it. */
function expected(rule: Rule | undefined, { severity, labels = {}, description }: AlertCase): object {
  const { summary, runbook_url } = rule?.annotations ?? {};
  return {
    exp_labels: { ...RELEASE, ...labels, severity },
    exp_annotations: { summary, description, runbook_url },
  };
}

const test = (
  alertname: string,
  at: string,
  series: readonly object[],
  alerts: readonly object[],
): object => ({
  interval: '1m',
  input_series: series,
  alert_rule_test: [{ eval_time: at, alertname, exp_alerts: alerts }],
});

for (const chart of CHARTS) {
  const cases = ALERT_CASES[chart];
  describe(`alert rules of ${chart}${WHY_NO_PROMTOOL}`, function () {
    this.timeout(60_000);
    before(function () {
      if (!hasPromtool) this.skip();
    });

    const run = async (tests: readonly object[]): Promise<string> => {
      const folder = await temporaryDirectory();
      try {
        const rules = join(folder.path, 'rules.yaml');
        await writeFile(rules, stringify(parse(rulesText(chart))));
        const file = join(folder.path, 'tests.yaml');
        await writeFile(file, stringify({ rule_files: [rules], evaluation_interval: '1m', tests }));
        const { code, stdout, stderr } = await execute(PROMTOOL, ['test', 'rules', file]);
        return code === 0 ? '' : stdout + stderr;
      } finally {
        await folder.remove();
      }
    };

    it('all have a case', () => {
      assert.deepEqual(
        rulesOf(chart)
          .map(({ alert }) => alert)
          .sort(),
        Object.keys(cases).sort(),
      );
    });

    for (const [alert, one] of Object.entries(cases)) {
      it(`${alert}: fires on what is bad, and says what`, async () => {
        const rule = rulesOf(chart).find(({ alert: name }) => name === alert);
        const fires = test(alert, one.at, inputs(one.bad, RELEASE), [expected(rule, one)]);
        assert.equal(await run([fires]), '');
      });

      it(`${alert}: is silent on what is good, and about other releases`, async () => {
        const healthy = inputs(one.good, RELEASE);
        const tests = [
          test(alert, one.at, healthy, []),
          test(alert, one.at, [...healthy, ...inputs(one.bad, OTHER)], []),
        ];
        assert.equal(await run(tests), '');
      });
    }
  });
}
