import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readJobs } from '@tributary/coordinator/internal/cli/commands/apply.js';
import { readJob } from '@tributary/edge-agent/internal/commands/job-file.js';
import { withModelFile } from '@tributary/coordinator/internal/cli/model-file.js';
import { kerasModel, LIMITS, parseFederatedJob, type LayerSpec } from '@tributary/proto';

import { stringify } from 'yaml';

import { jobDocument } from '../../support/job-document.js';
import { refusal } from '../../support/refusal.js';

const layers: LayerSpec[] = [
  { type: 'Dense', units: 4, activation: 'Elu' },
  { type: 'Dense', units: 1, activation: 'Sigmoid' },
];

describe('model file beside a job', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-model-file-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const job = (file: string): unknown => {
    const document = jobDocument();
    const { layers: _, ...model } = document.spec.model;
    return { ...document, spec: { ...document.spec, model: { ...model, file } } };
  };
  const resolved = (file: string): Promise<unknown> => withModelFile(job(file), join(folder, 'job.yaml'));

  it('is read from the folder of the job', async () => {
    const text = JSON.stringify(kerasModel(layers, [4], 'weights.bin')).replace(
      ',"batch_input_shape":[null,4]',
      '',
    );
    await writeFile(join(folder, 'model.json'), text);
    assert.deepEqual(parseFederatedJob(await resolved('model.json')).spec.model.layers, layers);
  });

  it('is read by tributary apply', async () => {
    const text = JSON.stringify(kerasModel(layers, [4], 'weights.bin')).replace(
      ',"batch_input_shape":[null,4]',
      '',
    );
    await writeFile(join(folder, 'model.json'), text);
    const path = join(folder, 'job.yaml');
    await writeFile(path, stringify(job('model.json')));
    const [read] = await readJobs([path]);
    assert.deepEqual(read?.job.spec.model.layers, layers);
    await writeFile(path, stringify(job('other.json')));
    await assert.rejects(
      readJobs([path]),
      refusal('USAGE', /job\.yaml: spec\.model\.file: other\.json: cannot be read/),
    );
  });

  it('is read by the commands of the agent too', async () => {
    const text = JSON.stringify(kerasModel(layers, [4], 'weights.bin')).replace(
      ',"batch_input_shape":[null,4]',
      '',
    );
    await writeFile(join(folder, 'model.json'), text);
    const path = join(folder, 'job.yaml');
    await writeFile(path, stringify(job('model.json')));
    assert.deepEqual((await readJob(path)).spec.model.layers, layers);
    await writeFile(path, stringify(job('other.json')));
    await assert.rejects(readJob(path), refusal('DOCUMENT_INVALID', /spec\.model\.file: .*other\.json/));
  });

  it('leaves a document without one alone', async () => {
    const document = jobDocument();
    assert.equal(await withModelFile(document, join(folder, 'job.yaml')), document);
  });

  it('is refused where it cannot be read, is no JSON, is too large or cannot be served', async () => {
    await writeFile(join(folder, 'broken.json'), '{');
    await writeFile(join(folder, 'large.json'), Buffer.alloc(LIMITS.modelFileBytes + 1, ' '));
    await writeFile(join(folder, 'graph.json'), '{"format": "graph-model"}');
    await assert.rejects(
      resolved('absent.json'),
      refusal('USAGE', /absent\.json: cannot be read \(ENOENT\)/),
    );
    await assert.rejects(resolved('.'), refusal('USAGE', /cannot be read \(EISDIR\)/));
    await assert.rejects(
      resolved('broken.json'),
      refusal('DOCUMENT_INVALID', /spec\.model\.file: broken\.json: it is not JSON/),
    );
    await assert.rejects(
      resolved('large.json'),
      refusal('LIMIT_EXCEEDED', /large\.json: a model file has at most 4194304 bytes/),
    );
    await assert.rejects(
      resolved('graph.json'),
      refusal('DOCUMENT_UNSUPPORTED', /spec\.model\.file: graph\.json: .*graph-model/),
    );
  });
});
