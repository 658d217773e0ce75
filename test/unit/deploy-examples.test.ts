import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { loadConfig } from '@tributary/edge-agent/internal/config.js';
import { evaluatePolicy } from '@tributary/edge-agent/internal/domain/policy.js';
import {
  compileFeatures,
  compileLabel,
  isJsonObject,
  parameterCount,
  parseDocument,
  parseFederatedJob,
  parseSitePolicy,
  type JsonValue,
} from '@tributary/proto';
import { parse } from 'csv-parse/sync';
import { parse as parseYaml } from 'yaml';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const EXAMPLES = join(ROOT, 'deploy', 'examples');
const LOANS = join(EXAMPLES, 'loans');

const read = (...path: string[]): JsonValue => parseYaml(readFileSync(join(...path), 'utf8')) as JsonValue;

describe('deploy/examples', () => {
  const files = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.yaml'),
  );

  it('are there', () => {
    assert.ok(files.length >= 3);
  });

  for (const file of files) {
    it(`${file} validates as it stands`, () => {
      const value = read(EXAMPLES, file);
      if (isJsonObject(value) && value['kind'] !== undefined) parseDocument(value);
      else loadConfig({ config: join(EXAMPLES, file) }, {});
    });
  }
});

describe('deploy/examples/loans', () => {
  const { spec } = parseFederatedJob(read(LOANS, 'federated-job.yaml'));
  const policy = parseSitePolicy(read(LOANS, 'site-policy.yaml')).spec;
  const plan = compileFeatures(spec.features);

  it('has a policy that allows the job, and only as it is', () => {
    const facts = {
      logId: 'a'.repeat(64),
      authorKey: policy.authors[0]?.key ?? '',
      parameters: parameterCount(spec.model.layers, plan.shape),
      cohort: 4,
      datasets: loadConfig({ config: join(LOANS, 'agent.yaml') }, {}).datasets.map(({ name }) => name),
      site: 'west',
      sentOnBase: 0,
      trainer: 'Tfjs' as const,
      decision: 'None' as const,
      startsAt: Date.parse('2026-01-05T12:00:00.000Z'),
    };
    const verdict = evaluatePolicy(policy, spec, facts);
    assert.ok(verdict.allowed);
    assert.equal(verdict.terms.minimumRows, 500);
    const curious = { ...spec, dataset: { ...spec.dataset, label: 'addr_state' } };
    assert.equal(evaluatePolicy(policy, curious, facts).allowed, false);
  });

  it('reads every loan of the data, in inputs of sensible size', () => {
    const csv = readFileSync(join(ROOT, 'test', 'data', 'lending_club.csv'));
    const rows = parse<Record<string, string>>(csv, { columns: true });
    assert.equal(rows.length, 9_857);
    assert.deepEqual(
      plan.columns.filter((column) => !Object.hasOwn(rows[0] ?? {}, column)),
      [],
    );
    assert.ok(!plan.columns.includes('addr_state'));

    const label = compileLabel(spec.task);
    const encoded = new Float32Array(plan.width);
    const squares = new Float64Array(plan.width);
    let positives = 0;
    for (const row of rows) {
      assert.deepEqual(plan.encode(row, encoded, 0), []);
      for (const [index, value] of encoded.entries()) squares[index] = (squares[index] ?? 0) + value ** 2;
      positives += Number(label.read(row[spec.dataset.label]));
    }
    assert.equal(positives, 517);
    for (const [index, name] of plan.names.entries()) {
      const rootMeanSquare = Math.sqrt((squares[index] ?? NaN) / rows.length);
      const isUnused = ['term=?', 'verification_status=?', 'sub_grade=?'].includes(name);
      assert.ok(
        isUnused ? rootMeanSquare === 0 : rootMeanSquare > 0 && rootMeanSquare < 1.5,
        `${name}: ${String(rootMeanSquare)}`,
      );
    }
  });
});
