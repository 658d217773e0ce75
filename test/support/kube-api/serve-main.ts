import { inBackground } from './background.js';
import { Emulator } from './emulator.js';

/** For a look by hand: an emulator whose containers are pretended, until the process is stopped. */
const emulator = await Emulator.start();
process.stdout.write(`export KUBECONFIG=${emulator.kubeconfig}\n`);
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => inBackground(emulator.stop()));
