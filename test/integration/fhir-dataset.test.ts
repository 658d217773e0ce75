import assert from 'node:assert/strict';
import { join } from 'node:path';

import type { FhirSource } from '@tributary/edge-agent/internal/domain/datasets/declaration.js';

import { rowsOf } from '../support/dataset-rows.js';
import { datasetHandle } from '../support/training-job.js';

const data = process.env['TRIBUTARY_ACCEPTANCE_DATA'] ?? '';
const missing = data === '';

describe('FHIR bulk export', () => {
  const title = 'reads a patient a line, by paths and by SQL';
  it(missing ? `${title} (skipped: TRIBUTARY_ACCEPTANCE_DATA is not set)` : title, async function () {
    if (missing) return this.skip();
    const source: FhirSource = {
      name: 'patient',
      format: 'FhirNdJson',
      glob: join(data, 'fhir_bulk_Patient.*.ndjson'),
    };
    const columns = [
      { name: 'gender', path: '$.gender' },
      { name: 'born', path: '$.birthDate' },
      { name: 'city', path: '$.address[0].city' },
    ];
    const declared = (sources: readonly FhirSource[], view?: string) =>
      datasetHandle('', 1, {
        declaration: { name: 'patients', sources, ...(view === undefined ? {} : { view }) },
        deidentification: { drop: ['city'], mask: [], generalise: [{ column: 'born', type: 'Year' }] },
      });
    const rows = await rowsOf(declared([{ ...source, resourceType: 'Patient', columns }]));
    assert.ok(rows.length >= 10);
    for (const { cells } of rows) {
      assert.deepEqual(Object.keys(cells).sort(), ['born', 'gender']);
      assert.match(String(cells['born']), /^\d{4}$/);
      assert.match(String(cells['gender']), /^(fe)?male$/);
    }
    const view = `SELECT resource ->> '$.gender' AS gender, resource ->> '$.birthDate' AS born
                  FROM patient WHERE resource_type = 'Patient'`;
    assert.deepEqual(
      (await rowsOf(declared([source], view))).map(({ cells }) => ({ ...cells })),
      rows.map(({ cells }) => ({ gender: cells['gender'], born: cells['born'] })),
    );
    assert.deepEqual(await rowsOf(declared([{ ...source, resourceType: 'Claim', columns }])), []);
  });
});
