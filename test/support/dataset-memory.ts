import { readFileSync } from 'node:fs';

import { loadDataset } from '@tributary/edge-agent/internal/adapters/datasets/encoded-dataset.js';
import { seededRandom, shuffle } from '@tributary/edge-agent/internal/domain/datasets/seeded-random.js';
import { parseFederatedJob } from '@tributary/proto';

import { datasetHandle } from './training-job.js';

/*
 * A process that reads a CSV file as a training does and goes through its rows once in shuffled order, a batch at a
 * time; then it says how much memory it ever had. Arguments: file, directory for rows, job as JSON.
 */
const [path = '', scratchDir = '', job = ''] = process.argv.slice(2);
const { spec } = parseFederatedJob(JSON.parse(job));
const dataset = await loadDataset({ dataset: datasetHandle(path, 1, { scratchDir }), spec }, () => undefined);
const { train, width } = dataset;
const order = Uint32Array.from({ length: train.rows }, (_, row) => row);
shuffle(order, seededRandom(1));
const [inputs, labels] = [new Float32Array(width), new Float32Array(1)];
let ones = 0;
for (const row of order) {
  train.copyRow(row, 0, inputs, labels);
  ones += inputs.reduce((sum, value) => sum + value, 0);
}
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
const encoded = train.rows * (width + 1) * Float32Array.BYTES_PER_ELEMENT;
process.stdout.write(
  JSON.stringify({ rows: train.rows, ones, encoded, held: train.bytes, peak: Number(peak) * 1024 }),
);
