import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Ways in which a native package of TensorFlow.js has been seen to fail, and the one in which it works. */
export const STAND_INS = {
  works: '',
  /** Installed with scripts ignored: the package throws a plain Error that names its own paths. */
  halfInstalled: `throw new Error('The Node.js native addon module can not be found at path: /secret/binding');`,
  /** A dependency of the package is missing. */
  dependencyMissing: `require('@mapbox/node-pre-gyp-that-is-not-there');`,
  /** The loader ends the process: no JavaScript sees it. */
  symbolMissing: `require('node:fs').writeSync(2, 'symbol lookup error: undefined symbol: TF_NewStatus'); process.reallyExit(127);`,
  instructionMissing: `process.kill(process.pid, 'SIGILL'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`,
  crash: `process.abort();`,
  /** Leaves the number of its process in the file `pid` of the package. */
  hang: `require('node:fs').writeFileSync(__dirname + '/pid', String(process.pid)); for (;;);`,
  noGpu: `gpu = false;`,
  /** Node 23 removed what the package calls when it makes a tensor. */
  wrongNode: `const util = require('node:util'); util.isNullOrUndefined = undefined; before = () => util.isNullOrUndefined(1);`,
  gradientKernelMissing: `missing = 'Multiply';`,
  notFinite: `spoil = true;`,
} as const;

export type StandIn = keyof typeof STAND_INS;

const require = createRequire(import.meta.url);

/**
 * Writes a package that stands in for @tensorflow/tfjs-node-gpu: it registers the backend "tensorflow", computed by the
 * kernels of the cpu backend, after it has done what `kind` says. Resolves with its folder.
 */
export async function writeStandIn(folder: string, kind: StandIn): Promise<string> {
  const path = join(folder, `stand-in-${kind}`);
  await mkdir(path, { recursive: true });
  await writeFile(
    join(path, 'package.json'),
    JSON.stringify({ name: `stand-in-${kind.toLowerCase()}`, main: 'index.js' }),
  );
  const core = JSON.stringify(require.resolve('@tensorflow/tfjs-core'));
  const cpu = JSON.stringify(require.resolve('@tensorflow/tfjs-backend-cpu'));
  await writeFile(
    join(path, 'index.js'),
    `'use strict';
let gpu = true, before = () => undefined, missing = '', spoil = false;
${STAND_INS[kind]}
const tf = require(${core});
const { MathBackendCPU } = require(${cpu});
tf.registerBackend('tensorflow', () => {
  const backend = new MathBackendCPU();
  backend.isUsingGpuDevice = gpu;
  return backend;
}, 3);
for (const kernel of tf.getKernelsForBackend('cpu')) {
  if (kernel.kernelName === missing) continue;
  tf.registerKernel({
    ...kernel,
    backendName: 'tensorflow',
    kernelFunc: (args) => {
      before();
      const output = kernel.kernelFunc(args);
      if (spoil && kernel.kernelName === '_FusedMatMul') args.backend.data.get(output.dataId).values.fill(NaN);
      return output;
    },
  });
}
`,
  );
  return path;
}
