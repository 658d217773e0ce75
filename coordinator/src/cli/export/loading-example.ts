import type { ExportFormat } from './export-files.js';

const needs = (
  packages: string,
): string => `// Scores rows with the model in this folder: node example.mjs < rows.ndjson
// A line of the input is a row as JSON, {"column": value, ...}; a line of the output has its scores by name.
// Needs: npm install ${packages}
// and @tributary/proto, the module that encoded the rows in training: npm install PATH-OF-THE-TRIBUTARY-CLONE/proto.
// Inside the clone, after npm ci and npm run build, all of them are there.
`;

const TFJS_VERSION = '4.22.0';
const TFJS = ['core', 'layers', 'backend-cpu']
  .map((part) => `@tensorflow/tfjs-${part}@${TFJS_VERSION}`)
  .join(' ');

const FEATURES = `const read = (name) => readFile(new URL(name, import.meta.url));
const json = async (name) => JSON.parse((await read(name)).toString('utf8'));

// Rows become inputs of the model. Features that each site scales by itself, or that take their categories from a
// vocabulary of the site, need what the site has: pass it to compileFeatures beside the fit.
const { features, fit } = parseFeaturesFile(await json('features.json'));
const plan = compileFeatures(features, fit);
// A regression may have learned (label - center) / scale: what is printed is in units of the label.
const { outputs, labelScaling: { center, scale } = { center: 0, scale: 1 } } = await json('manifest.json');
const names = outputs.slice(1);
`;

const LOOP = `
let number = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const row = JSON.parse(line);
  const inputs = new Float32Array(plan.width);
  const issues = plan.encode(row, inputs, 0).map(({ column, reason }) => \`\${column}: \${reason}\`);
  issues.push(...plan.columns.filter((column) => !(column in row)).map((column) => \`\${column}: not there\`));
  number += 1;
  for (const issue of issues) console.error(\`row \${number}, \${issue}, taken as missing\`);
  const scores = await predict(inputs);
  console.log(JSON.stringify(Object.fromEntries(names.map((name, index) => [name, center + scale * scores[index]]))));
}
`;

const EXAMPLES: Readonly<Record<ExportFormat, string>> = {
  tfjs: `${needs(TFJS)}import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import '@tensorflow/tfjs-backend-cpu';
import { setBackend, tensor, tidy } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import { compileFeatures, parseFeaturesFile } from '@tributary/proto';

${FEATURES}
await setBackend('cpu');
const { modelTopology, weightsManifest } = await json('model.json');
const [{ weights: weightSpecs, paths }] = weightsManifest;
const weightData = new Uint8Array(await read(paths[0])).buffer;
const model = await loadLayersModel({ load: async () => ({ modelTopology, weightSpecs, weightData }) });
const predict = async (inputs) =>
  tidy(() => model.predict(tensor(inputs, [1, ...plan.shape])).dataSync().slice());
${LOOP}`,
  onnx: `${needs('onnxruntime-node')}import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import { compileFeatures, parseFeaturesFile } from '@tributary/proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';

${FEATURES}
const session = await InferenceSession.create(await read('model.onnx'));
const predict = async (inputs) => {
  const { output } = await session.run({ input: new Tensor('float32', inputs, [1, ...plan.shape]) });
  return output.data;
};
${LOOP}`,
};

/** A program in JavaScript that loads the files of an export and scores rows with them: \`example.mjs\`. */
export function loadingExample(format: ExportFormat): string {
  return EXAMPLES[format];
}
