import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { LIMITS, parseFederatedJob, TributaryError, type ErrorCode } from '@tributary/proto';
import { clip, redact } from '@tributary/edge-agent/internal/domain/redaction.js';
import { loadDataset } from '@tributary/edge-agent/internal/adapters/datasets/encoded-dataset.js';
import { redactTraining } from '@tributary/edge-agent/internal/domain/training-error.js';
import { describeUnexpected } from '@tributary/edge-agent/internal/app/unexpected.js';
import fc from 'fast-check';

import { jobDocument } from '../../support/job-document.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { datasetHandle } from '../../support/training-job.js';

const job = parseFederatedJob(jobDocument()).spec;
const CELL = 'patient-4711';

describe('what is told of errors', () => {
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  it('is code and message of our own errors, bounded', () => {
    assert.deepEqual(redact(new TributaryError('POLICY_REFUSED', 'spec.rounds\n\u0007')), {
      code: 'POLICY_REFUSED',
      detail: 'spec.rounds ',
    });
    assert.equal(
      redact(new TributaryError('POLICY_REFUSED', 'x'.repeat(9_999))).detail.length,
      LIMITS.detailLength,
    );
  });

  it('is nothing of the text of other errors', () => {
    for (const error of [new Error(CELL), new TributaryError('INTERNAL', CELL), CELL, undefined]) {
      assert.ok(!JSON.stringify(redact(error)).includes(CELL));
      assert.ok(!JSON.stringify(describeUnexpected(error)).includes(CELL));
    }
    assert.ok(
      !JSON.stringify(describeUnexpected(TributaryError.from(new RangeError(`a\nb ${CELL}\n`)))).includes(
        CELL,
      ),
    );
    assert.deepEqual(describeUnexpected(new TributaryError('UNAVAILABLE', 'x')), {});
    assert.equal(describeUnexpected(new RangeError('x'))['class'], 'RangeError');
  });

  it('cuts between characters', () => {
    assert.ok(clip('😀'.repeat(LIMITS.detailLength)).isWellFormed());
  });

  it('is place, fault and names of the job of an error about records', () => {
    const error = new TributaryError('DATASET_INVALID', `line 3: ${CELL}`, {
      fields: { line: 3, column: 'term', fault: 'NotANumber', value: CELL, big: 1.5 },
    });
    const { code, detail } = redactTraining(error, job);
    assert.equal(code, 'DATASET_INVALID');
    assert.equal(detail, 'line 3, column term: not a number');
    assert.equal(redactTraining(new Error(CELL), job).code, 'TRAINING_FAILED');
    assert.equal(redactTraining(new TributaryError('INTERNAL', CELL), job).code, 'TRAINING_FAILED');
    assert.deepEqual(redactTraining(new TributaryError('UNAVAILABLE', 'far away'), job), {
      code: 'UNAVAILABLE',
      detail: 'far away',
    });
  });

  it('says what is wrong with each broken file, and at which place', async () => {
    const toldOf = (path: string) =>
      loadDataset({ dataset: datasetHandle(path), spec: job }, () => undefined).then(
        () => assert.fail('it was read'),
        (error: unknown) => redactTraining(error, job),
      );
    const label = job.dataset.label;
    const header = [label, ...job.features.map(({ name }) => name)];
    const broken: readonly (readonly [lines: readonly string[], detail: RegExp])[] = [
      [[], /^the file is empty/],
      [[header.join(';'), CELL], new RegExp(`^line 1, column ${label}: the first line does not name`)],
      [[[label, ...header].join(','), CELL], new RegExp(`^line 1, column ${label}: .* more than once`)],
      [[header.join(','), CELL], /^line 2: another number of cells/],
      [[header.join(','), `"a"${CELL}`], /^line 2: a quote/],
    ];
    for (const [lines, expected] of broken) {
      const path = join(folder.path, 'rows.csv');
      await writeFile(path, lines.join('\n'));
      const { code, detail } = await toldOf(path);
      assert.equal(code, 'DATASET_INVALID');
      assert.match(detail, expected);
      assert.ok(!detail.includes(CELL));
    }
    assert.match((await toldOf(folder.path)).detail, /^the file that agent.yaml names cannot be read$/);
    const missing = await toldOf(join(folder.path, CELL));
    assert.deepEqual(missing, {
      code: 'DATASET_UNKNOWN',
      detail: 'the file that agent.yaml names does not exist',
    });
  });

  it('never holds a value that errors of training quote, wherever they quote it', () => {
    const codes = fc.constantFrom<ErrorCode>(
      'DATASET_INVALID',
      'DATASET_TOO_SMALL',
      'TRAINING_FAILED',
      'TRAINING_DIVERGED',
      'INTERNAL',
    );
    const fields = fc.dictionary(
      fc.string({ maxLength: 12 }),
      fc.oneof(fc.constant(CELL), fc.constant(`${CELL} `), fc.nat(), fc.boolean()),
    );
    fc.assert(
      fc.property(codes, fields, (code, given) => {
        const error = new TributaryError(code, `cell ${CELL}`, {
          fields: { [CELL]: CELL, ...given },
          hint: CELL,
          cause: new Error(CELL),
        });
        const told = redactTraining(error, job);
        assert.ok(!JSON.stringify(told).includes(CELL));
        assert.ok(told.detail.length <= LIMITS.detailLength);
      }),
    );
  });
});
