import assert from 'node:assert/strict';

import { parseFederatedJob } from '@tributary/proto';

import { expectRefusals } from '../../support/document-refusals.js';
import { altered, jobDocument } from '../../support/job-document.js';

const trainingOf = (training: unknown) =>
  parseFederatedJob(altered(jobDocument(), 'spec.training', training)).spec.training;
const optimizer = { type: 'Sgd', learningRate: 0.1 };

describe('training part of a job', () => {
  it('adds nothing to a job that asks for nothing: its signature and digest stay', () => {
    assert.deepEqual(trainingOf({ optimizer }), { epochs: 1, batchSize: 32, optimizer, l2: 0, seed: 1 });
  });

  it('takes every optimizer and schedule, with defaults', () => {
    for (const type of ['RmsProp', 'Adagrad', 'Adadelta', 'Adamax'] as const) {
      const parsed = trainingOf({ optimizer: { type, learningRate: 1 } }).optimizer;
      assert.deepEqual(parsed, { type, learningRate: 1, ...(type === 'RmsProp' && { decay: 0.9 }) });
    }
    const schedule = (given: object) => trainingOf({ optimizer, schedule: given }).schedule;
    assert.deepEqual(schedule({ type: 'Cosine' }), { type: 'Cosine', unit: 'Round', floor: 0 });
    assert.deepEqual(schedule({ type: 'Warmup', length: 3, unit: 'Epoch' }), {
      type: 'Warmup',
      unit: 'Epoch',
      length: 3,
    });
    assert.deepEqual(trainingOf({ optimizer, epochs: 9, earlyStopping: {} }).earlyStopping, {
      patience: 2,
      minDelta: 0,
      validationFraction: 0.1,
    });
  });

  describe('refusals', () => {
    expectRefusals(jobDocument(), 'DOCUMENT_INVALID', [
      [
        'spec.training',
        { optimizer, epochs: 3, steps: 100 },
        'spec.training.steps: takes the place of epochs, which are given too; remove one of them',
      ],
      [
        'spec.training',
        { optimizer, earlyStopping: {} },
        'spec.training.earlyStopping: a round of one epoch cannot end earlier; raise epochs, or remove it',
      ],
      [
        'spec.training',
        { optimizer, loss: 'CosineProximity' },
        'spec.training.loss: CosineProximity is not defined for a task of type Binary; use BinaryCrossEntropy, SquaredError, AbsoluteError, LogCosh or Hinge',
      ],
      [
        'spec.training',
        { optimizer, classWeights: [1, 2, 3] },
        'spec.training.classWeights: the task has 2 classes, not 3; give one factor for each',
      ],
      [
        'spec.training',
        { optimizer, schedule: { type: 'Cosine', factor: 0.5 } },
        'spec.training.schedule.factor: does not belong to type Cosine; remove it, or use type StepDecay or Exponential',
      ],
      [
        'spec.training',
        { optimizer, steps: 10, schedule: { type: 'Cosine', unit: 'Epoch' } },
        'spec.training.schedule.unit: the number of epochs of a round depends on the site where steps are given; use Round, or give epochs in place of steps',
      ],
    ]);
  });
});
