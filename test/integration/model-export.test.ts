import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import {
  EXPORT_FORMATS,
  writeExport,
  type ExportFormat,
} from '@tributary/coordinator/internal/cli/export/export-files.js';
import {
  canonicalText,
  compileFeatures,
  digestOf,
  encodeManifest,
  float32ToBytes,
  initialWeights,
  layoutDigest,
  layoutOf,
  parseFederatedJob,
  parseManifest,
  signingKeyFromSeed,
  signManifest,
  type FederatedJobInput,
  type JsonObject,
  type LabelScaling,
  type LayerSpec,
  type ModelManifest,
  type Row,
} from '@tributary/proto';

import { loadExportedModel } from '../support/exported-model.js';
import { jobDocument } from '../support/job-document.js';
import { refusal } from '../support/refusal.js';

const MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url));

type Features = FederatedJobInput['spec']['features'];

interface Trial {
  readonly name: string;
  readonly features: Features;
  readonly layers: readonly LayerSpec[];
  readonly rows: readonly Row[];
  readonly labelScaling?: LabelScaling;
}

const numeric: Trial = {
  name: 'numbers and categories',
  features: [
    { name: 'age', type: 'Numeric', center: 50, scale: 10, impute: 60 },
    { name: 'grade', type: 'Categorical', categories: ['I', 'II', 'III'] },
  ],
  layers: [
    { type: 'Dense', units: 6, activation: 'Tanh' },
    { type: 'BatchNormalization', momentum: 0.9, epsilon: 0.001 },
    { type: 'Dense', units: 1, activation: 'Sigmoid' },
  ],
  rows: [
    { age: 41, grade: 'II' },
    { age: '77.5', grade: 'unheard of' },
    { grade: null },
    { age: 'old', grade: 'I' },
  ],
};

const sequences: Trial = {
  name: 'sequences of two channels',
  features: [
    { name: 'pulse', type: 'Sequence', length: 6, center: 80, scale: 20 },
    { name: 'pressure', type: 'Sequence', length: 6, center: 120, scale: 30 },
  ],
  layers: [
    { type: 'Conv1d', filters: 4, kernelSize: [3], padding: 'Same', activation: 'Relu' },
    { type: 'GlobalAveragePooling1d' },
    { type: 'Dense', units: 1, activation: 'Sigmoid' },
  ],
  rows: [
    { pulse: [60, 70, 80], pressure: [110, 120, 130, 140, 150, 160, 170] },
    { pulse: [90], pressure: null },
  ],
};

function modelOf({ features, layers, labelScaling }: Trial): {
  manifest: ModelManifest;
  bytes: Uint8Array;
  weights: Float32Array;
} {
  const document = jobDocument();
  const { spec } = parseFederatedJob({
    ...document,
    spec: { ...document.spec, features, model: { ...document.spec.model, layers } },
  });
  const { shape } = compileFeatures(spec.features);
  const layout = layoutOf(spec.model.layers, shape);
  const weights = initialWeights(spec.model.layers, shape, 4);
  const bytes = encodeManifest({
    name: 'relapse',
    version: 3,
    jobId: 'job-1',
    jobName: 'relapse',
    rounds: 1,
    weightsDigest: digestOf(float32ToBytes(weights)),
    layoutDigest: layoutDigest(layout),
    layout,
    topology: { inputShape: [...shape], layers: [...spec.model.layers] },
    features: [...spec.features],
    fit: {},
    outputs: ['outcome', 'relapse'],
    ...(labelScaling && { labelScaling }),
    lineage: {
      baseDigest: digestOf(new Uint8Array()),
      rounds: [],
      sites: ['north'],
      documentDigest: digestOf(new Uint8Array()),
    },
    metrics: {},
    createdAt: '2026-01-01T00:00:00.000Z',
  });
  return { manifest: parseManifest(bytes), bytes, weights };
}

async function exported(folder: string, trial: Trial, format: ExportFormat): Promise<void> {
  const { manifest, bytes, weights } = modelOf(trial);
  const key = signingKeyFromSeed(new Uint8Array(32).fill(7));
  const weightsFile = join(folder, '.weights.part');
  await writeFile(weightsFile, float32ToBytes(weights));
  const signature = signManifest(digestOf(bytes), key);
  await writeExport({
    folder,
    format,
    manifest,
    manifestBytes: bytes,
    modelKey: key.publicKey,
    signature,
    weightsFile,
  });
}

/** Runs the loading example of an export in a process of its own, with the packages that it names at hand. */
async function runExample(
  folder: string,
  rows: readonly Row[],
): Promise<{ scores: number[]; notes: string }> {
  await symlink(MODULES, join(folder, 'node_modules'));
  const input = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [join(folder, 'example.mjs')], (error, stdout, stderr) => {
      if (error !== null) reject(new Error(stderr, { cause: error }));
      const lines = stdout.trim().split('\n');
      resolve({
        scores: lines.map((line) => (JSON.parse(line) as { readonly relapse: number }).relapse),
        notes: stderr,
      });
    });
    child.stdin?.end(input);
  });
}

describe('exported models', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-export-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  for (const trial of [numeric, sequences])
    for (const format of EXPORT_FORMATS)
      it(`${format}, ${trial.name}: the example scores rows as the model does`, async () => {
        const reference = await mkdtemp(join(tmpdir(), 'tributary-export-'));
        await exported(reference, trial, 'tfjs');
        const expected = await (await loadExportedModel(reference)).predict(trial.rows);
        await rm(reference, { recursive: true });

        await exported(folder, trial, format);
        const { scores } = await runExample(folder, trial.rows);
        assert.equal(scores.length, trial.rows.length);
        for (const [index, score] of scores.entries())
          assert.ok(Math.abs(score - (expected[index] ?? Number.NaN)) <= 1e-5, String(score));
        assert.ok(new Set(scores.map((score) => score.toFixed(4))).size > 1);
      });

  for (const format of EXPORT_FORMATS)
    it(`${format}: the example gives the label of a regression in its unit`, async () => {
      const reference = await mkdtemp(join(tmpdir(), 'tributary-export-'));
      await exported(reference, numeric, 'tfjs');
      const expected = await (await loadExportedModel(reference)).predict(numeric.rows);
      await rm(reference, { recursive: true });

      await exported(folder, { ...numeric, labelScaling: { center: 30, scale: 4 } }, format);
      const { scores } = await runExample(folder, numeric.rows);
      assert.equal(scores.length, numeric.rows.length);
      for (const [index, score] of scores.entries())
        assert.ok(Math.abs(score - (30 + 4 * (expected[index] ?? Number.NaN))) <= 1e-4, String(score));
    });

  it('has the files of its format, and says which cells it could not read', async () => {
    await exported(folder, numeric, 'onnx');
    assert.deepEqual((await readdir(folder)).sort(), [
      'example.mjs',
      'features.json',
      'manifest.json',
      'model.onnx',
      'signature.json',
    ]);
    const { notes } = await runExample(folder, numeric.rows);
    assert.match(notes, /row 3, age: not there, taken as missing/);
    assert.match(notes, /row 4, age: NotANumber, taken as missing/);
    assert.doesNotMatch(notes, /grade/);
    assert.doesNotMatch(notes, /old/);
  });

  it('is refused for ONNX where a layer is recurrent, and for a format that is not known', async () => {
    const layers: LayerSpec[] = [
      { type: 'Gru', units: 3, returnSequences: false, recurrentActivation: 'Sigmoid' },
      { type: 'Dense', units: 1, activation: 'Sigmoid' },
    ];
    await assert.rejects(
      exported(folder, { ...sequences, layers }, 'onnx'),
      refusal('DOCUMENT_UNSUPPORTED', /Gru is not exported to ONNX/),
    );
  });

  it('reads manifests of version 1, which knew rows of one axis and no fit', () => {
    const { bytes } = modelOf(numeric);
    const { fit: _, ...manifest } = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
    const old = {
      ...manifest,
      formatVersion: 1,
      topology: { inputWidth: 5, layers: modelOf(numeric).manifest.topology.layers },
    };
    const parsed = parseManifest(Buffer.from(canonicalText(old as JsonObject)));
    assert.deepEqual(parsed.topology.inputShape, [5]);
    assert.deepEqual(parsed.fit, {});
  });
});
